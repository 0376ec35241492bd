"""A reviewer's acts on submissions; each leaves a Decision."""

from __future__ import annotations

from django.db import transaction
from django.utils import timezone

from portal.accounts.models import User
from portal.intake.services import TransitionRefused
from portal.notifications.services import submission_changed
from portal.queues import wake_board_builders
from portal.review.models import Decision
from portal.runs import services as runs
from portal.submissions.models import Submission

Action = Decision.Action
Status = Submission.Status

# What each action needs and makes of a submission's status. A re-run's new status is set by enqueueing.
_STEPS: dict[Decision.Action, tuple[tuple[Submission.Status, ...], Submission.Status | None]] = {
    Action.PUBLISH: ((Status.IN_REVIEW,), Status.PUBLISHED),
    Action.REJECT: ((Status.IN_REVIEW,), Status.REJECTED),
    Action.REOPEN: ((Status.REJECTED,), Status.IN_REVIEW),
    Action.DISQUALIFY: ((Status.PUBLISHED,), Status.DISQUALIFIED),
    Action.RERUN: ((Status.IN_REVIEW, Status.FAILED, Status.PUBLISHED), None),
}
NEEDS_REASON = (Action.REJECT, Action.DISQUALIFY)


@transaction.atomic
def decide(*, submission: Submission, reviewer: User, action: Decision.Action, reason: str = "") -> Decision:
    """Carry out a reviewer's action and put it on record.

    Raises TransitionRefused when the submission's status does not allow it or a reason is missing.
    """
    allowed, status = _STEPS[action]
    reason = reason.strip()
    if action in NEEDS_REASON and not reason:
        raise TransitionRefused(f"To {action} a submission, give a reason: its team reads it.")
    runs.lock_active(submission)  # first, as workers do: evaluation, then submission
    current = Submission.objects.select_for_update().get(pk=submission.pk)
    if current.status not in allowed:
        raise TransitionRefused(f"{current} is {current.get_status_display()}, so you cannot {action} it.")
    if action == Action.RERUN and current.kind == Submission.Kind.IMPORTED:
        raise TransitionRefused(f"{current} came from another board without files: there is nothing to run.")
    queued = runs.enqueue_all(current, priority=1) if action == Action.RERUN else []
    if action == Action.RERUN and not queued:
        raise TransitionRefused(f"{current} is being evaluated already.")
    decision = Decision.objects.create(submission=current, reviewer=reviewer, action=action, reason=reason)
    if status is None:
        return decision
    now = timezone.now()
    current.status, current.status_changed_at = status, now
    if status == Status.PUBLISHED:
        current.published_at = now
    current.save(update_fields=["status", "status_changed_at", "published_at"])
    if status in (Status.REJECTED, Status.DISQUALIFIED):
        runs.cancel_active(current)
    submission_changed(current)
    if status in (Status.PUBLISHED, Status.DISQUALIFIED):
        wake_board_builders()
    return decision
