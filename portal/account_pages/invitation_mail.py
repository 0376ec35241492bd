"""The mail that brings an invitation to a team."""

from __future__ import annotations

import logging
import smtplib

from django.conf import settings
from django.core.mail import EmailMessage
from django.template.loader import render_to_string

from portal.accounts.models import Invitation

logger = logging.getLogger(__name__)


def mail_invitation(invitation: Invitation, link: str) -> bool:
    """Mail the link now, as it is stored nowhere. False where that fails; the log has the reason."""
    context = {"invitation": invitation, "link": link, "site_url": settings.SITE_URL}
    message = EmailMessage(
        subject=f"{settings.ACCOUNT_EMAIL_SUBJECT_PREFIX}Invitation to the team {invitation.team.name}",
        body=render_to_string("portal/accounts/invitation.txt", context),
        to=[invitation.addressee],
        headers={"Auto-Submitted": "auto-generated"},
    )
    try:
        message.send()
    except (smtplib.SMTPException, OSError):
        logger.exception("An invitation was not mailed")
        return False
    return True
