"""Who a request comes from, and who acts as staff."""

from __future__ import annotations

from django.http import HttpRequest

from portal.accounts.models import User


def signed_in(request: HttpRequest) -> User:
    """The user of a request that `login_required` let through."""
    assert isinstance(request.user, User)
    return request.user


def acts_as_staff(user: object) -> bool:
    """Whether staff's pages and rights are open to `user`; never to somebody who is not signed in."""
    return isinstance(user, User) and user.acts_as_staff
