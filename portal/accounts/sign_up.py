"""How an account begins: a sign-up that tells nothing about addresses, and the confirmation of its own.

Every sign-up takes the same way, whether its address is known or not: an account without an address, and a
mail to the one that was named. Only that mail says whose it is (`AccountAdapter.send_confirmation_mail`).
"""

from __future__ import annotations

from typing import Any

from allauth.account.adapter import get_adapter
from allauth.account.forms import SignupForm
from allauth.account.models import EmailAddress
from allauth.account.stages import EmailVerificationStage
from django.http import HttpRequest, HttpResponseBase

from portal.accounts.models import User


class SignUpForm(SignupForm):
    def validate_unique_email(self, value: str) -> str:
        """Any address is taken. The library would make no account for a known one, and then anybody could
        tell: its name is still free, and nobody can sign in with it."""
        return str(get_adapter().validate_unique_email(value))

    def save(self, request: HttpRequest) -> User:
        adapter = get_adapter()
        user: User = adapter.save_user(request, adapter.new_user(request), self)
        return user


class ConfirmationStage(EmailVerificationStage):
    """Signing in waits until the address of a sign-up is confirmed.

    The row of an account holds no other address than a confirmed one or one that the operator gave it, who
    vouches for it; and an account that names none at all was made by the operator too.
    """

    def handle(self) -> tuple[HttpResponseBase | None, bool]:
        user = self.login.user
        if user and (user.email or not EmailAddress.objects.filter(user=user).exists()):
            _record(user)
            return None, True
        result: Any = super().handle()
        return result


def is_of_another(address: EmailAddress) -> bool:
    """Whether an address belongs to another account than the one that names it."""
    others = User.objects.exclude(pk=address.user_id)
    return bool(
        others.filter(email__iexact=address.email).exists()
        or EmailAddress.objects.filter(email=address.email, verified=True, user__in=others).exists()
    )


def _record(user: User) -> None:
    """Let the library know the address that the operator gave an account."""
    if not user.email or EmailAddress.objects.filter(user=user, verified=True).exists():
        return
    address = EmailAddress(user=user, email=user.email.lower())
    if is_of_another(address):
        return
    EmailAddress.objects.update_or_create(
        user=user, email=address.email, defaults={"verified": True, "primary": True}
    )
    User.objects.filter(pk=user.pk).update(email=address.email)
