"""What becomes of a submission after its smoke run: its team goes on with it; silence withdraws it."""

from __future__ import annotations

from django.db import transaction
from django.utils import timezone

from portal.intake.drafts import TransitionRefused
from portal.intake.services import withdraw
from portal.runs import services as runs
from portal.submissions.models import Submission

Status = Submission.Status


@transaction.atomic
def evaluate_in_full(submission: Submission) -> None:
    """Go on, at the team's wish. Raises TransitionRefused where the submission waits for no such wish."""
    current = Submission.objects.select_for_update().get(pk=submission.pk)
    if current.status != Status.TRIED:
        raise TransitionRefused(
            f"It is {current.get_status_display()}. Only what waits for its team after a smoke run is "
            "evaluated in full at its wish."
        )
    runs.enqueue_all(current)


def withdraw_undecided() -> int:
    """Withdraw what has waited for its team long enough, and return how many."""
    waiting = Submission.objects.filter(
        status=Status.TRIED, status_changed_at__lt=timezone.now() - Submission.DECISION_TIME
    )
    withdrawn = 0
    for submission in waiting:
        try:
            withdraw(submission)
        except TransitionRefused:
            continue  # withdrawn at this moment
        withdrawn += 1
    return withdrawn
