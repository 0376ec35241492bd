"""Which decisions need a second reviewer, and whether there is one who may agree."""

from __future__ import annotations

from django.conf import settings
from django.db.models import Avg, Exists, F, OuterRef, Q, QuerySet

from portal.accounts.access import reviewers
from portal.accounts.models import User
from portal.review.acts import Act
from portal.review.models import TwoPersonRule
from portal.runs.models import Evaluation, Score
from portal.submissions.models import Submission


def others(submission: Submission, reviewer: User) -> list[User]:
    """The reviewers who could agree to a decision of `reviewer`."""
    found = reviewers().exclude(pk=reviewer.pk)
    if submission.kind != Submission.Kind.REFERENCE:
        found = found.exclude(pk=submission.submitter_id).exclude(memberships__team=submission.team_id)
    return list(found.order_by("pk"))


def is_needed(submission: Submission, act: Act, reviewer: User) -> bool:
    """Whether the operator wants two for it. Where nobody else could agree, one decides, which the record
    shows."""
    rule = TwoPersonRule.objects.filter(action=act.action).first()
    if rule is None or not others(submission, reviewer):
        return False
    return rule.top is None or is_among_first(submission, rule.top)


def is_among_first(submission: Submission, top: int) -> bool:
    """Whether fewer than `top` other entries of its board have a higher average under some protocol of the
    site. Averages alone, not ranks: equal ones count as first."""
    for protocol in settings.LEADERBOARD_PROTOCOLS:
        own = _averages(Submission.objects.filter(pk=submission.pk), protocol).get(submission.pk)
        board = Submission.objects.filter(
            challenge=submission.challenge, status=Submission.Status.PUBLISHED
        ).exclude(pk=submission.pk)
        if own is not None and sum(a > own for a in _averages(board, protocol).values()) < top:
            return True
    return False


def _averages(submissions: QuerySet[Submission], protocol: int) -> dict[int, float]:
    """The mean over the benchmarks of each submission's last complete evaluation."""
    finished = Evaluation.objects.filter(
        Q(checkpoint=None) | Q(checkpoint=F("submission__checkpoint")),
        status=Evaluation.Status.SUCCEEDED,
        protocol=protocol,
        for_audit=False,
    )
    newer = finished.filter(submission=OuterRef("evaluation__submission"), pk__gt=OuterRef("evaluation"))
    scores = Score.objects.filter(
        evaluation__in=finished.filter(submission__in=submissions.order_by().values("pk")),
        value__isnull=False,
    ).exclude(Exists(newer))
    rows = scores.order_by().values("evaluation__submission").annotate(average=Avg("value"))
    return {row["evaluation__submission"]: row["average"] for row in rows}
