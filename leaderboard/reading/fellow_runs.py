"""Reads the runs of a submission's method: those on the board, and those that its team left out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from django.conf import settings
from django.db.models import Q

from leaderboard.reading.queries import read
from portal.submissions.models import Submission

Status = Submission.Status


@dataclass(frozen=True)
class FellowRun:
    """A run that was sent. `average` is under the site's protocol, None where it was not evaluated."""

    id: int
    is_first: bool
    status: str
    status_label: str
    sent_at: datetime | None
    average: float | None


@dataclass(frozen=True)
class LeftOut:
    """How many of `evaluated` runs, whose scores their team knew, no board shows, and why."""

    evaluated: int
    withdrawn: int
    disqualified: int
    unpublished: int

    def __bool__(self) -> bool:
        return bool(self.withdrawn or self.disqualified or self.unpublished)


def runs_of_method(submission: Submission) -> list[FellowRun]:
    """All that were sent, the submission among them, in the order of sending; none where it is one alone."""
    first = submission.repeats_id or submission.pk
    sent = Submission.objects.filter(Q(pk=first) | Q(repeats=first), sent_at__isnull=False)
    rows = list(sent.order_by("sent_at", "pk").values_list("pk", "status", "sent_at"))
    if len(rows) < 2:
        return []
    averages = {
        entry.id: entry.average for entry in read(sent, protocol=settings.LEADERBOARD_PROTOCOLS[0]).entries
    }
    return [
        FellowRun(pk, pk == first, status, str(Status(status).label), sent_at, averages.get(pk))
        for pk, status, sent_at in rows
    ]


def left_out(runs: Sequence[FellowRun]) -> LeftOut:
    """What readers are told of them: numbers alone, of runs that were evaluated."""
    known = [run.status for run in runs if run.average is not None]
    gone = {status: known.count(status) for status in (Status.WITHDRAWN, Status.DISQUALIFIED)}
    published = known.count(Status.PUBLISHED)
    return LeftOut(
        evaluated=len(known),
        withdrawn=gone[Status.WITHDRAWN],
        disqualified=gone[Status.DISQUALIFIED],
        unpublished=len(known) - published - sum(gone.values()),
    )
