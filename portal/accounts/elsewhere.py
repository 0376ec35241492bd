"""Accounts of other sites (Hugging Face, GitHub, ORCID) that sign in to one of this site."""

from __future__ import annotations

from typing import Any

from allauth.account.adapter import get_adapter as get_account_adapter
from allauth.account.models import EmailAddress
from allauth.socialaccount.adapter import DefaultSocialAccountAdapter
from allauth.socialaccount.forms import SignupForm
from allauth.socialaccount.models import SocialLogin
from django.core.exceptions import ValidationError
from django.db import transaction
from django.http import HttpRequest

from portal.accounts.models import User
from portal.accounts.sign_up import is_of_another


class SignUpForm(SignupForm):
    """Asks for the name and the address of the new account, filled in with what the other site told."""

    def validate_unique_email(self, value: str) -> str:
        """Any address is taken, as at every sign-up: a mail tells whose it is. Only who has shown to the
        other site that the address is theirs learns here that it has an account."""
        address = str(get_account_adapter().validate_unique_email(value)).lower()
        if address in _shown(self.sociallogin) and is_of_another(EmailAddress(email=address)):
            raise ValidationError(
                "This address has an account here. Sign in to it, then connect "
                f"{self.sociallogin.provider.name} under Account, Connected accounts.",
                code="email_taken",
            )
        return value


class ElsewhereAdapter(DefaultSocialAccountAdapter):
    @transaction.atomic
    def save_user(self, request: HttpRequest, sociallogin: SocialLogin, form: Any = None) -> User:
        """Make the account without a password. An address that the other site vouches for needs no mail."""
        user: User = sociallogin.user
        get_account_adapter().save_user(request, user, form)
        sociallogin.account.user = user
        sociallogin.account.save()
        address = EmailAddress.objects.get(user=user)
        if address.email.lower() in _shown(sociallogin) and not is_of_another(address):
            address.verified = True
            address.save()
            user.email = address.email
            user.save()
        return user


def _shown(login: SocialLogin) -> set[str]:
    """The addresses that somebody has shown to the other site to be theirs."""
    return {address.email.lower() for address in login.email_addresses if address.verified}
