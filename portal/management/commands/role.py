"""Gives people the roles of staff, and takes them away."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db.models import Q

from portal.accounts import roles
from portal.accounts.models import User


class Command(BaseCommand):
    help = "Give an account a role (reviewer, editor, operator), take it away, or list who has which."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("what", choices=["give", "take", "list"])
        parser.add_argument("username", nargs="?")
        parser.add_argument("role", nargs="?", choices=[role.word for role in roles.Role])

    def handle(self, *args: Any, what: str, username: str | None, role: str | None, **options: Any) -> None:
        if what == "list":
            self._list()
            return
        if not (username and role):
            raise CommandError(f"say whose and which: manage.py role {what} USERNAME ROLE")
        user = User.objects.filter(username__iexact=username, is_active=True).first()
        if user is None:
            raise CommandError(f"there is no active account {username}")
        try:
            (roles.give if what == "give" else roles.take)(user, roles.role_of(role))
        except roles.UnknownRole as error:
            raise CommandError(str(error)) from error
        self._say(User.objects.get(pk=user.pk))

    def _list(self) -> None:
        staff = User.objects.filter(Q(is_staff=True) | Q(is_superuser=True), is_active=True)
        for user in staff.order_by("username"):
            self._say(user)

    def _say(self, user: User) -> None:
        words = [role.word for role in roles.roles_of(user)]
        if user.is_superuser:
            words.insert(0, "superuser")
        self.stdout.write(f"{user.username}: {', '.join(words) or 'no role'}")
