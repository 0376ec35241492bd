"""The daily mail to reviewers, where something waits."""

from __future__ import annotations

from django.utils import timezone

from portal.notifications import review_digest
from portal.notifications.review_digest import WaitingCase
from portal.review import second
from portal.review.waiting import waiting

SHOWN = 15


def send() -> None:
    """Tell all reviewers of the cases that wait, the oldest first."""
    cases = waiting().select_related("team").order_by("status_changed_at", "pk")
    now = timezone.now()
    lines = [
        WaitingCase(
            submission=case.pk,
            method=" ".join(case.method.split()),
            team=case.team.name,
            challenge=case.get_challenge_display(),
            waits=_waits((now - case.status_changed_at).days),
        )
        for case in cases[:SHOWN]
    ]
    review_digest.send(lines, total=cases.count(), to=second.reviewers())


def _waits(days: int) -> str:
    return "since today" if not days else f"for {days} day{'s' if days > 1 else ''}"
