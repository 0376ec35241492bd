"""The daily mail to reviewers, where something waits."""

from __future__ import annotations

from datetime import datetime

from django.utils import timezone

from portal.accounts.access import reviewers
from portal.notifications import review_digest
from portal.notifications.review_digest import WaitingCase, WaitingRequest
from portal.review.models import EntryRequest
from portal.review.waiting import open_requests, waiting

SHOWN = 15


def send() -> None:
    """Tell all reviewers of the cases that wait and of the requests that do not concern them, the oldest
    first."""
    cases = waiting().select_related("team").order_by("status_changed_at", "pk")
    lines = [
        WaitingCase(
            submission=case.pk,
            method=" ".join(case.method.split()),
            team=case.team.name,
            challenge=case.get_challenge_display(),
            waits=_waits(case.status_changed_at),
        )
        for case in cases[:SHOWN]
    ]
    requests = {
        user: [_line(one) for one in open_requests(user).select_related("submission").order_by("created_at")]
        for user in reviewers()
    }
    review_digest.send(lines, total=cases.count(), requests=requests)


def _line(request: EntryRequest) -> WaitingRequest:
    return WaitingRequest(
        request=request.pk,
        kind=request.get_kind_display(),
        entry=request.submission_id,
        method=" ".join(request.submission.method.split()),
        waits=_waits(request.created_at),
    )


def _waits(since: datetime) -> str:
    days = (timezone.now() - since).days
    return "since today" if not days else f"for {days} day{'s' if days > 1 else ''}"
