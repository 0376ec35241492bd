"""What waits for reviewers: what is evaluated and undecided, or decided and waits for a second reviewer, and
what people ask about entries."""

from __future__ import annotations

from typing import Any

from django.db.models import Exists, OuterRef, Q, QuerySet, Subquery
from django.utils import timezone

from portal.accounts.models import User
from portal.review.cases import may_decide
from portal.review.entry_requests import shown_to
from portal.review.models import CaseClaim, Decision, EntryRequest
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
    # Of what its team withdrew, nobody can carry out what was proposed.
    proposed = Q(is_proposed=True) & ~Q(status=Submission.Status.WITHDRAWN)
    return with_state(Submission.objects.all()).filter((in_review & not_held) | proposed)


def open_to(user: User) -> QuerySet[Submission]:
    """Of the queue what the user may decide, without what somebody else has or they proposed themselves."""
    now = timezone.now()
    claims = CaseClaim.objects.filter(ended_at=None, until__gt=now).exclude(reviewer=user)
    own = Decision.objects.pending().filter(reviewer=user)
    of_team = Q(team__memberships__user=user) | Q(submitter=user)
    conflicted = Submission.objects.filter(of_team).exclude(kind=Submission.Kind.REFERENCE)
    return waiting().exclude(
        Q(pk__in=claims.values("submission"))
        | Q(pk__in=own.values("submission"))
        | Q(pk__in=conflicted.values("pk"))
    )


def open_requests(user: User) -> QuerySet[EntryRequest]:
    """What people ask about entries and nobody answered, without what concerns the user."""
    return shown_to(user).filter(state=EntryRequest.State.OPEN)


def held() -> QuerySet[Submission]:
    """What was put on hold and not released."""
    return with_state(Submission.objects.filter(status=Submission.Status.IN_REVIEW)).filter(last_hold=_HELD)


def count_for(user: object) -> int | None:
    """How many cases and requests wait, for whoever decides on them; None for everybody else."""
    if not (isinstance(user, User) and may_decide(user)):
        return None
    return waiting().count() + open_requests(user).count()
