"""Where allauth meets this site: what a sign-up makes, what a new password ends, and what mails say."""

from __future__ import annotations

import logging
import smtplib
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from allauth.account.adapter import DefaultAccountAdapter
from allauth.account.models import EmailAddress
from allauth.account.stages import EmailVerificationStage
from django.conf import settings
from django.contrib import messages
from django.core.mail import EmailMessage
from django.db import transaction
from django.http import HttpRequest

from portal.accounts.models import ApiToken, User, personal_team
from portal.accounts.sign_up import ConfirmationStage, is_of_another

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class MailedSite:
    """The site as mails name it."""

    name: str
    domain: str


class AccountAdapter(DefaultAccountAdapter):
    @transaction.atomic
    def save_user(self, request: HttpRequest, user: User, form: Any, commit: bool = True) -> User:
        """Make the account with its team of one. It has no address before that one is confirmed."""
        user = super().save_user(request, user, form, commit=False)
        user.email = ""
        if commit:
            user.save()
            personal_team(user)
            EmailAddress.objects.create(user=user, email=form.cleaned_data["email"], primary=True)
        return user

    def get_login_stages(self) -> list[str]:
        own = f"{ConfirmationStage.__module__}.{ConfirmationStage.__qualname__}"
        library = f"{EmailVerificationStage.__module__}.{EmailVerificationStage.__qualname__}"
        return [own if stage == library else stage for stage in super().get_login_stages()]

    def confirm_email(self, request: HttpRequest, email_address: EmailAddress) -> bool:
        """Refuse an address that has become another account's since the mail left."""
        if is_of_another(email_address):
            failed = "account/messages/email_confirmation_failed.txt"
            self.add_message(request, messages.ERROR, failed, {"email": email_address.email})
            return False
        return bool(super().confirm_email(request, email_address))

    @transaction.atomic
    def set_password(self, user: User, password: str) -> None:
        """A new password ends the account's tokens; its other sessions end by the changed hash."""
        super().set_password(user, password)
        ApiToken.revoke_all_of(user)

    def send_confirmation_mail(self, request: HttpRequest, emailconfirmation: Any, signup: bool) -> None:
        """Whose address it is already learns that, and gets no link that would give it away."""
        address: EmailAddress = emailconfirmation.email_address
        if is_of_another(address):
            self.send_account_already_exists_mail(address.email)
        else:
            super().send_confirmation_mail(request, emailconfirmation, signup)

    def send_notification_mail(self, *args: Any, **kwargs: Any) -> None:
        """Tell of what has been done already: without mail it stays done, and the log has the reason."""
        try:
            super().send_notification_mail(*args, **kwargs)
        except (smtplib.SMTPException, OSError):
            logger.exception("A mail about a change of an account was not sent")

    def render_mail(
        self,
        template_prefix: str,
        email: str | list[str],
        context: dict[str, Any],
        headers: dict[str, str] | None = None,
    ) -> EmailMessage:
        """Links and names are the site's own: the library takes them from the request's Host header."""
        links = {name: _on_site(value) for name, value in context.items() if name.endswith("_url")}
        site = MailedSite(name="FlowerTune Leaderboard", domain=settings.SITE_URL)
        message: EmailMessage = super().render_mail(
            template_prefix,
            email,
            {**context, **links, "current_site": site, "site_url": settings.SITE_URL},
            {"Auto-Submitted": "auto-generated", **(headers or {})},
        )
        return message

    def _get_login_attempts_cache_key(self, request: HttpRequest, **credentials: Any) -> str:
        """The library's own has the Host header in it, whose port anybody may choose anew at each attempt."""
        return str(credentials.get("email", credentials.get("username", ""))).lower()


def _on_site(link: str) -> str:
    parts = urlsplit(link)
    return settings.SITE_URL + parts.path + (f"?{parts.query}" if parts.query else "")
