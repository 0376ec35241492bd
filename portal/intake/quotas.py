"""How much a team may send a day. Only what was evaluated counts, not what failed on our side."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from django.conf import settings
from django.db.models import Exists, OuterRef, Q
from django.utils import timezone

from evaluation.findings import Finding, Severity
from portal.accounts.models import Team
from portal.runs.models import Evaluation
from portal.submissions.models import Submission

Status = Submission.Status

OPEN_DRAFTS = 20
"""A team's drafts at a time: they take storage and cost no quota."""


@dataclass(frozen=True)
class Quota:
    """What a team used of its submissions of the last 24 hours."""

    team: Team
    used: int
    limit: int

    @property
    def is_used_up(self) -> bool:
        return self.used >= self.limit


def quota_of(team: Team) -> Quota:
    """Failed ones are not counted, nor those that were withdrawn before a worker took them.

    A submission counts once: the evaluation after its smoke run adds nothing.
    """
    # A run that was cancelled, or came to its end, took a worker's time; one that failed was our fault.
    evaluated = Evaluation.objects.filter(
        submission=OuterRef("pk"),
        started_at__isnull=False,
        status__in=[Evaluation.Status.CANCELLED, Evaluation.Status.SUCCEEDED, Evaluation.Status.TRIED],
    )
    used = (
        Submission.objects.filter(
            team=team, kind=Submission.Kind.COMMUNITY, sent_at__gt=timezone.now() - timedelta(days=1)
        )
        .exclude(status=Status.FAILED)
        .filter(~Q(status=Status.WITHDRAWN) | Exists(evaluated))
        .count()
    )
    return Quota(team, used, settings.SUBMISSIONS_PER_DAY)


def check_quota(team: Team, kind: Submission.Kind) -> list[Finding]:
    """An error when the team made its submissions of the day; reference entries are not counted."""
    quota = quota_of(team)
    if kind == Submission.Kind.REFERENCE or not quota.is_used_up:
        return []
    message = (
        f"Your team sent {quota.used} submissions in the last 24 hours, and {quota.limit} is the limit. "
        "Try again later."
    )
    return [Finding("submission.quota", Severity.ERROR, message, "team")]


def check_drafts(team: Team, kind: Submission.Kind) -> list[Finding]:
    """An error when the team has as many drafts as it may have; those of reference entries do not count."""
    drafts = Submission.objects.filter(team=team, kind=Submission.Kind.COMMUNITY, status=Status.RECEIVED)
    if kind == Submission.Kind.REFERENCE or drafts.count() < OPEN_DRAFTS:
        return []
    message = f"Your team has {OPEN_DRAFTS} drafts, which is the limit. Send or delete one first."
    return [Finding("submission.too_many_drafts", Severity.ERROR, message, "team")]
