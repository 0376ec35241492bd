"""Reviewers are told once a day by e-mail what waits for them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import timedelta

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from portal.accounts.models import User
from portal.notifications.models import Event, Notification
from portal.notifications.services import payload_of, tell

PAUSE = timedelta(hours=20)
"""Between two digests at least: a scheduler that was started again must not send another one."""


@dataclass(frozen=True)
class WaitingCase:
    """A line of the mail."""

    submission: int
    method: str
    team: str
    challenge: str
    waits: str


@transaction.atomic
def send(cases: Sequence[WaitingCase], *, total: int, to: Iterable[User]) -> None:
    """Tell of `total` cases, of which `cases` stand in the mail, whoever has an address and wants to know."""
    told = Notification.objects.filter(event=Event.REVIEW_WAITING, created_at__gt=timezone.now() - PAUSE)
    recipients = list(
        User.objects.filter(pk__in=[user.pk for user in to], is_active=True)
        .exclude(email="")
        .exclude(email_preferences__muted__contains=[Event.REVIEW_WAITING.value])
    )
    if not total or not recipients or told.exists():
        return
    facts = {
        "total": total,
        "more": total - len(cases),
        "cases": [asdict(case) for case in cases],
        "page": f"{settings.SITE_URL}/review/",
    }
    tell(Event.REVIEW_WAITING, None, payload_of(Event.REVIEW_WAITING, {"review": facts}), [], recipients)
