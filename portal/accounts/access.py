"""Who a request comes from."""

from __future__ import annotations

from django.http import HttpRequest

from portal.accounts.models import User


def signed_in(request: HttpRequest) -> User:
    """The user of a request that `login_required` let through."""
    assert isinstance(request.user, User)
    return request.user
