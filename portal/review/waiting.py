"""What waits for reviewers: evaluated and undecided, or decided and waiting for a second reviewer."""

from __future__ import annotations

from typing import Any

from django.db.models import Exists, OuterRef, Q, QuerySet, Subquery

from portal.review.cases import may_decide
from portal.review.models import Decision
from portal.submissions.models import Submission

_HELD = Decision.Action.HOLD


def with_state(submissions: QuerySet[Submission]) -> QuerySet[Any]:
    """Each with `is_held`, the last hold or release that stands being a hold, and `is_proposed`, where a
    decision waits for a second reviewer."""
    last = (
        Decision.objects.filter(
            submission=OuterRef("pk"), action__in=[_HELD, Decision.Action.RELEASE], undone_by=None
        )
        .order_by("-pk")
        .values("action")[:1]
    )
    return submissions.annotate(
        last_hold=Subquery(last),
        is_proposed=Exists(Decision.objects.pending().filter(submission=OuterRef("pk"))),
    )


def waiting() -> QuerySet[Submission]:
    """The queue: what a reviewer can act on now."""
    in_review = Q(status=Submission.Status.IN_REVIEW)
    not_held = Q(last_hold=None) | ~Q(last_hold=_HELD)
    return with_state(Submission.objects.all()).filter((in_review & not_held) | Q(is_proposed=True))


def held() -> QuerySet[Submission]:
    """What was put on hold and not released."""
    return with_state(Submission.objects.filter(status=Submission.Status.IN_REVIEW)).filter(last_hold=_HELD)


def count_for(user: object) -> int | None:
    """How many cases wait, for whoever decides on them; None for everybody else."""
    return waiting().count() if may_decide(user) else None
