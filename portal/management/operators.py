"""Who gives an order on a terminal, and how one that makes no sense is told."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from django.core.management.base import CommandError, CommandParser

from portal.accounts.models import User
from portal.control.models import Act
from portal.control.orders import Operator, OrderRefused


def add_reason_and_name(parser: CommandParser, *, required: bool = True) -> None:
    parser.add_argument("--reason", default="", required=required, help="Goes on record")
    parser.add_argument("--by", metavar="USERNAME", default="", help="Whose order it is, for the record")


def operator(username: str) -> Operator:
    """Raises CommandError where there is no such account."""
    if not username:
        return Operator(None, Act.Via.TERMINAL)
    user = User.objects.filter(username__iexact=username, is_active=True).first()
    if user is None:
        raise CommandError(f"there is no active account {username}")
    return Operator(user, Act.Via.TERMINAL)


@contextmanager
def refusals_told() -> Iterator[None]:
    try:
        yield
    except OrderRefused as refusal:
        raise CommandError(str(refusal)) from refusal
