"""How long people wait for the reviewers, as everybody may read it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from statistics import median

from django.apps import apps
from django.utils import timezone

from portal.review.models import EntryRequest
from portal.submissions.models import Submission

SPAN = timedelta(days=90)


@dataclass(frozen=True)
class ServiceLevels:
    """Over the last 90 days. `review_days` is None where nothing was decided."""

    in_review: int
    review_days: float | None
    decided: int
    open_objections: int
    answer_days: float | None
    answered: int


def service_levels() -> ServiceLevels:
    since = timezone.now() - SPAN
    review = _review_days(since)
    answers = EntryRequest.objects.filter(answered_at__gt=since).values_list("created_at", "answered_at")
    answer = [(to - began) / timedelta(days=1) for began, to in answers if to]
    return ServiceLevels(
        in_review=Submission.objects.filter(status=Submission.Status.IN_REVIEW).count(),
        review_days=median(review) if review else None,
        decided=len(review),
        open_objections=EntryRequest.objects.filter(
            kind=EntryRequest.Kind.OBJECTION, state=EntryRequest.State.OPEN
        ).count(),
        answer_days=median(answer) if answer else None,
        answered=len(answer),
    )


def _review_days(since: object) -> list[float]:
    """From each submission's coming into review to the decision that ended it."""
    events = (
        apps.get_model("submissions", "StatusEvent")
        .objects.filter(pgh_obj__status_changed_at__gt=since)
        .order_by("pgh_obj_id", "pk")
        .values_list("pgh_obj_id", "status", "status_changed_at")
    )
    waits, began = [], {}
    for submission, status, at in events:
        if status == Submission.Status.IN_REVIEW:
            began[submission] = at
        elif (start := began.pop(submission, None)) and status in ("published", "rejected"):
            waits.append((at - start) / timedelta(days=1))
    return waits
