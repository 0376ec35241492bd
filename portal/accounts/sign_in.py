"""Whom a name or an address lets in, and who is mailed a new password.

Only the address in an account's row counts: one that nobody confirmed may be anybody's, and given by many.
"""

from __future__ import annotations

from typing import Any

from allauth.account.auth_backends import AuthenticationBackend
from allauth.account.forms import ResetPasswordForm
from django.db.models import Q
from django.http import HttpRequest

from portal.accounts.models import User


class AccountBackend(AuthenticationBackend):
    """The library's, with one password checked for each attempt, known or not: its time tells nothing."""

    def _authenticate(self, request: HttpRequest | None, **credentials: Any) -> User | None:
        name, address = credentials.get("username") or "", credentials.get("email") or ""
        named = Q(username__iexact=name)
        if address:
            named |= Q(email__iexact=address)
        # A name may look like somebody else's address; whose it is comes first.
        users = sorted(User.objects.filter(named), key=lambda user: user.email.lower() != address.lower())
        for user in users:
            found: User | None = self._check_password(user, credentials["password"])
            if found:
                return found
        return None


class NewPasswordForm(ResetPasswordForm):
    users: list[User]

    def clean_email(self) -> str:
        address = str(super().clean_email())
        self.users = [user for user in self.users if user.email.lower() == address.lower()]
        return address
