"""What decisions make of a submission: its status, its runs, and what team and boards are told.

Called by portal.review.services alone, after the decision is on record: the database lets a submission take
these steps for no other reason.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from django.db import transaction
from django.utils import timezone

from portal import tracing
from portal.baselines.retraining import RetrainingRefused, retrain
from portal.intake.services import TransitionRefused
from portal.notifications.models import Event
from portal.notifications.services import submission_changed
from portal.queues import wake_board_builders
from portal.review.models import ChangeRequest, Decision
from portal.runs import services as runs
from portal.submissions.models import Submission
from portal.tracing import Span

Action = Decision.Action
Status = Submission.Status


def carry_out(current: Submission, decision: Decision, *, due_at: datetime | None = None) -> None:
    """Let a decision take effect on a locked submission. Raises TransitionRefused where it cannot."""
    if current.status == Status.IN_REVIEW:
        since, now = current.status_changed_at.timestamp(), timezone.now().timestamp()
        transaction.on_commit(lambda: tracing.record(Span(current.pk, "in review", since, now)))
    transaction.on_commit(lambda: tracing.concerns(current.pk))
    if decision.act == Action.CHANGES:
        assert due_at
        _ask_for_changes(current, decision, due_at)
    else:
        _EFFECTS[decision.act](current, decision)


def reverse(current: Submission, undone: Decision) -> None:
    """Take back what a decision did, and tell the team so."""
    match undone.act:
        case Action.REJECT:
            _move(current, Status.IN_REVIEW)
            submission_changed(current, event=Event.REOPENED, because="the rejection was taken back")
        case Action.CHANGES:
            _move(current, Status.IN_REVIEW, adapter_file="")
            submission_changed(current, event=Event.REOPENED, because="no changes are asked for any more")
        case Action.REOPEN:
            rejection = current.decisions.filter(action=Action.REJECT).latest("pk")
            _move(current, Status.REJECTED)
            submission_changed(current, reason=rejection.reason)
        case Action.HOLD:
            submission_changed(current, event=Event.RELEASED)
        case Action.RELEASE:
            hold = current.decisions.filter(action=Action.HOLD).latest("pk")
            submission_changed(current, event=Event.HELD, reason=hold.reason)
        case other:
            raise ValueError(f"{other} cannot be undone")


def is_on_hold(submission: Submission) -> bool:
    """Whether the last hold or release that stands is a hold."""
    last = submission.decisions.filter(action__in=[Action.HOLD, Action.RELEASE], undone_by=None).last()
    return last is not None and last.act == Action.HOLD


def _publish(current: Submission, decision: Decision) -> None:
    now = timezone.now()
    _move(current, Status.PUBLISHED, at=now, published_at=now)
    submission_changed(current, reason=decision.reason)
    wake_board_builders()


def _reject(current: Submission, decision: Decision) -> None:
    _move(current, Status.REJECTED)
    runs.cancel_active(current)
    submission_changed(current, reason=decision.reason)


def _reopen(current: Submission, decision: Decision) -> None:
    _move(current, Status.IN_REVIEW)
    submission_changed(
        current, event=Event.REOPENED, because="the rejection was taken back", reason=decision.reason
    )


def _ask_for_changes(current: Submission, decision: Decision, due_at: datetime) -> None:
    """Make it a draft again, with its files; what was reviewed stays with the request."""
    ChangeRequest.objects.create(decision=decision, due_at=due_at, reviewed=_as_reviewed(current))
    runs.cancel_active(current)
    kept = current.checkpoint.file.name if current.checkpoint else ""
    _move(current, Status.RECEIVED, adapter_file=kept)
    submission_changed(
        current,
        event=Event.CHANGES_REQUESTED,
        reason=decision.reason,
        until=f"{due_at:%Y-%m-%d %H:%M} UTC",
    )


def _rerun(current: Submission, decision: Decision) -> None:
    if not runs.enqueue_all(current, priority=1):
        raise TransitionRefused(f"{current} is being evaluated already.")


def _retrain(current: Submission, decision: Decision) -> None:
    try:
        retrain(current, requester=decision.reviewer)
    except RetrainingRefused as refusal:
        raise TransitionRefused(str(refusal)) from refusal


def _hold(current: Submission, decision: Decision) -> None:
    submission_changed(current, event=Event.HELD, reason=decision.reason)


def _release(current: Submission, decision: Decision) -> None:
    submission_changed(current, event=Event.RELEASED, reason=decision.reason)


def _disqualify(current: Submission, decision: Decision) -> None:
    _move(current, Status.DISQUALIFIED)
    runs.cancel_active(current)
    submission_changed(current, reason=decision.reason)
    wake_board_builders()


def _reinstate(current: Submission, decision: Decision) -> None:
    _move(current, Status.PUBLISHED)
    submission_changed(current, event=Event.REINSTATED, reason=decision.reason)
    wake_board_builders()


_EFFECTS: dict[Action, Callable[[Submission, Decision], None]] = {
    Action.PUBLISH: _publish,
    Action.REJECT: _reject,
    Action.REOPEN: _reopen,
    Action.RERUN: _rerun,
    Action.RETRAIN: _retrain,
    Action.HOLD: _hold,
    Action.RELEASE: _release,
    Action.DISQUALIFY: _disqualify,
    Action.REINSTATE: _reinstate,
}


def _move(current: Submission, status: Status, *, at: datetime | None = None, **changes: object) -> None:
    for name, value in {"status": status, "status_changed_at": at or timezone.now(), **changes}.items():
        setattr(current, name, value)
    current.save(update_fields=["status", "status_changed_at", *changes])


def _as_reviewed(current: Submission) -> dict[str, object]:
    texts = ("method", "description", "paper_url", "code_url", "adapter_config_text", "config_text")
    stated = ("training_data", "not_trained_on_test_items", "repeats_id")
    return {
        **{name: getattr(current, name) for name in (*texts, *stated)},
        "adapter_sha256": current.checkpoint.sha256 if current.checkpoint else "",
        "findings": list(current.findings.values("code", "severity", "message", "location")),
    }
