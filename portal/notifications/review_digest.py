"""Reviewers are told once a day by e-mail what waits for them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
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


@dataclass(frozen=True)
class WaitingRequest:
    """A line of the mail: what somebody asks about an entry."""

    request: int
    kind: str
    entry: int
    method: str
    waits: str


@transaction.atomic
def send(
    cases: Sequence[WaitingCase], *, total: int, requests: Mapping[User, Sequence[WaitingRequest]]
) -> None:
    """Tell of `total` cases, of which `cases` stand in the mail, and each reviewer of the `requests` that
    they may read: whoever has an address and something that waits, and did not turn it off."""
    told = Notification.objects.filter(event=Event.REVIEW_WAITING, created_at__gt=timezone.now() - PAUSE)
    if told.exists():
        return
    alike: dict[tuple[WaitingRequest, ...], list[User]] = defaultdict(list)
    for user, asked in requests.items():
        if user.is_active and user.email and (total or asked):
            alike[tuple(asked)].append(user)
    for asked, recipients in alike.items():
        facts = {
            "total": total,
            "more": total - len(cases),
            "cases": [asdict(case) for case in cases],
            "requests": [asdict(one) for one in asked],
            "page": f"{settings.SITE_URL}/review/",
            "requests_page": f"{settings.SITE_URL}/review/requests/",
        }
        tell(Event.REVIEW_WAITING, None, payload_of(Event.REVIEW_WAITING, {"review": facts}), [], recipients)
