"""What reviewers do with cases: decide, agree to another's decision, undo. Each leaves a record.

The rules stand in the database too (portal.review.models): who decides, on whose entries, with a claim, and
where a second reviewer has to agree. Here they are asked first, for an answer in words.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from django.db import transaction
from django.utils import timezone

from portal.accounts.models import User
from portal.intake.services import TransitionRefused
from portal.notifications.decisions import decision_answered, decision_waits
from portal.review import cases, effects, second
from portal.review.acts import ACTS, DEADLINE, LONGEST_DEADLINE, Act
from portal.review.models import UNDO_SPAN, Confirmation, Decision
from portal.runs import services as runs
from portal.submissions.models import Submission

Action = Decision.Action
Status = Submission.Status


@transaction.atomic
def decide(
    *,
    submission: Submission,
    reviewer: User,
    action: Decision.Action,
    reason: str = "",
    due_at: datetime | None = None,
) -> Decision:
    """Put a reviewer's decision on record and carry it out, or propose it where a second one has to agree.

    The reviewer has claimed the case, and keeps it for another while; a proposal gives it back. `due_at` is
    the deadline of changes. Raises TransitionRefused where the act is not possible, with the reason.
    """
    act, reason = ACTS[action], reason.strip()
    current = _locked(submission, reviewer)
    _check_possible(current, act)
    if act.needs_reason and not reason:
        raise TransitionRefused(f"To {act.action.label}, give a reason: it stays on record.")
    deadline = _deadline(due_at) if act.asks_deadline else None
    proposed = second.is_needed(current, act, reviewer)
    decision = Decision.objects.create(
        submission=current, reviewer=reviewer, action=action, reason=reason, proposed=proposed
    )
    if proposed:
        cases.release(current, reviewer=reviewer)
        decision_waits(current, act.title, reason=reason, by=reviewer, to=second.others(current, reviewer))
    else:
        effects.carry_out(current, decision, due_at=deadline)
    return decision


@transaction.atomic
def confirm(decision: Decision, *, reviewer: User, agreed: bool, reason: str = "") -> Confirmation:
    """Agree to another's proposed decision, which carries it out, or decline it with a reason.

    Raises TransitionRefused.
    """
    current = _locked(decision.submission, reviewer)
    waiting = Decision.objects.pending().filter(pk=decision.pk).first()
    if waiting is None:
        raise TransitionRefused("The decision does not wait for anybody any more.")
    if waiting.reviewer_id == reviewer.pk:
        raise TransitionRefused("It is your own decision: another reviewer has to agree.")
    if not agreed and not reason.strip():
        raise TransitionRefused("To decline, give a reason: the first reviewer reads it.")
    if agreed:
        _check_status(current, ACTS[waiting.act])
    said = Confirmation.objects.create(
        decision=waiting, reviewer=reviewer, agreed=agreed, reason=reason.strip()
    )
    if agreed:
        effects.carry_out(current, waiting)
    title = ACTS[waiting.act].title
    decision_answered(current, title, agreed=agreed, reason=said.reason, by=reviewer, to=waiting.reviewer)
    return said


@transaction.atomic
def undo(decision: Decision, *, reviewer: User) -> Decision:
    """Take back the last decision of a case, as a decision of its own; takes the case if nobody has it.

    Raises TransitionRefused where something public came of it, somebody acted on it, or its time is over.
    """
    runs.lock_active(decision.submission)  # first, as everywhere: evaluation, then submission
    cases.claim(decision.submission, reviewer=reviewer)
    current = _locked(decision.submission, reviewer)
    last = current.decisions.last()
    if last is None or last.pk != decision.pk or why_final(last):
        raise TransitionRefused(why_final(last) if last and last.pk == decision.pk else _OVERTAKEN)
    if last.is_pending and last.reviewer_id != reviewer.pk:
        raise TransitionRefused("Only who proposed it takes it back; you can decline it.")
    undone = Decision.objects.create(submission=current, reviewer=reviewer, action=Action.UNDO, undoes=last)
    if not last.proposed:
        effects.reverse(current, last)
    return undone


_OVERTAKEN = "Another decision came after it."


def why_final(decision: Decision) -> str:
    """Why a case's last decision cannot be undone; "" where it can."""
    if decision.is_pending:
        return ""
    if decision.act not in Decision.UNDOABLE:
        return "It cannot be undone."
    if timezone.now() >= decision.created_at + UNDO_SPAN:
        return f"It can be undone for {_minutes(UNDO_SPAN)} only."
    if decision.act == Action.CHANGES and decision.submission.edited_at > decision.created_at:
        return "The team changed the draft already."
    expected = ACTS[decision.act].becomes
    if expected is not None and decision.submission.status != expected:
        return "The submission went on already."
    return ""


def undoable(submission: Submission) -> Decision | None:
    """The decision that `undo` would take back; None where there is none."""
    last = submission.decisions.select_related("submission", "confirmation").last()
    return last if last and not why_final(last) else None


def is_on_hold(submission: Submission) -> bool:
    return effects.is_on_hold(submission)


def pending(submission: Submission) -> Decision | None:
    """The decision that waits for a second reviewer."""
    waiting = Decision.objects.pending().filter(submission=submission).select_related("reviewer").last()
    return waiting if waiting and submission.status in ACTS[waiting.act].allowed else None


def _locked(submission: Submission, reviewer: User) -> Submission:
    """The row, locked, of a case that the reviewer has claimed and keeps for another while."""
    runs.lock_active(submission)  # first, as workers do: evaluation, then submission
    current = Submission.objects.select_for_update().get(pk=submission.pk)
    cases.check_may_decide(current, reviewer)
    held = cases.claim_of(current)
    if held is None:
        raise TransitionRefused("Take the case first: nobody has it.")
    if held.reviewer_id != reviewer.pk:
        raise cases.CaseClaimed(held)
    cases.claim(current, reviewer=reviewer)
    return current


def _check_possible(current: Submission, act: Act) -> None:
    if Decision.objects.pending().filter(submission=current).exists():
        raise TransitionRefused(f"A decision on {current} waits for a second reviewer. Answer it first.")
    _check_status(current, act)
    if act.action == Action.RELEASE:
        if not is_on_hold(current):
            raise TransitionRefused(f"{current} is not on hold.")
    elif is_on_hold(current):
        raise TransitionRefused(f"{current} is on hold. Release it first.")


def _check_status(current: Submission, act: Act) -> None:
    if current.status not in act.allowed:
        raise TransitionRefused(
            f"{current} is {current.get_status_display()}, so you cannot {act.action.label} it."
        )
    if current.kind in act.kinds:
        return
    if current.kind == Submission.Kind.IMPORTED:
        raise TransitionRefused(f"{current} came from another board without files: there is nothing to run.")
    raise TransitionRefused(f"{current} is a reference entry of this site: you cannot {act.action.label} it.")


def _deadline(due_at: datetime | None) -> datetime:
    now = timezone.now()
    due_at = due_at or now + DEADLINE
    if not now < due_at <= now + LONGEST_DEADLINE:
        raise TransitionRefused(f"The deadline has to be within the next {LONGEST_DEADLINE.days} days.")
    return due_at


def _minutes(span: timedelta) -> str:
    return f"{int(span.total_seconds()) // 60} minutes"


__all__ = ["confirm", "decide", "is_on_hold", "pending", "undo", "undoable", "why_final"]
