"""Single pieces of work that operators put back into the queue, or let go first."""

from __future__ import annotations

from django.db import models, transaction

from portal.baselines import queue as baselines
from portal.baselines import services as runs_of_staff
from portal.control.models import Act
from portal.control.orders import Operator, OrderRefused, needed, write_down
from portal.outages import waiting
from portal.queues import wake_evaluators, wake_trainers
from portal.runs import services as evaluations
from portal.runs.models import BaselineRun, Evaluation
from portal.runs.transfer import MEASURABLE
from portal.submissions.models import Submission

MOST_PRIORITY = 9
_AGAIN = (
    Submission.Status.FAILED,
    Submission.Status.QUEUED,
    Submission.Status.EVALUATING,
    Submission.Status.IN_REVIEW,
    Submission.Status.PUBLISHED,
)
_ENDED = (Evaluation.Status.FAILED, Evaluation.Status.CANCELLED)


class Kind(models.TextChoices):
    EVALUATION = "evaluation", "evaluation"
    BASELINE = "baseline", "baseline run"


@transaction.atomic
def requeue(kind: Kind, pk: int, *, reason: str, by: Operator) -> Evaluation | BaselineRun:
    """Put work back into the queue, and return what waits there now.

    What runs is taken from its worker, with no attempt used up and all scores and rounds kept; what waits for
    the end of an outage is tried at once; of what failed a new one is queued. Raises OrderRefused.
    """
    reason = needed(reason)
    work = _locked(kind, pk)
    again: Evaluation | BaselineRun = work
    if work.status == work.Status.RUNNING:
        _give_back(work)
    elif work.status == work.Status.QUEUED:
        if work.waits_until is None:
            raise OrderRefused(f"{_named(kind, work)} is in the queue already.")
        type(work)._default_manager.filter(pk=work.pk).update(**waiting.OVER)
    elif work.status in _ENDED:
        again = _another(work)
    else:
        raise OrderRefused(f"{_named(kind, work)} is done: reviewers evaluate again what is to be.")
    wake_evaluators() if kind == Kind.EVALUATION else wake_trainers()
    as_another = "" if again.pk == work.pk else f", as {again.pk}"
    write_down(Act.What.REQUEUE, f"{_named(kind, work)}{as_another}", reason, by)
    again.refresh_from_db()
    return again


@transaction.atomic
def prioritise(kind: Kind, pk: int, priority: int, *, reason: str, by: Operator) -> Evaluation | BaselineRun:
    """Let queued work go first, the higher the sooner; 0 gives it its usual place. Raises OrderRefused."""
    reason = needed(reason)
    if not 0 <= priority <= MOST_PRIORITY:
        raise OrderRefused(f"A priority is a number from 0 to {MOST_PRIORITY}.")
    work = _locked(kind, pk)
    if work.status != work.Status.QUEUED:
        raise OrderRefused(f"{_named(kind, work)} does not wait any more.")
    work.priority = priority or _usual_priority(work)
    type(work)._default_manager.filter(pk=work.pk).update(priority=work.priority)
    write_down(Act.What.PRIORITY, f"{_named(kind, work)}, to {priority}", reason, by)
    return work


def _locked(kind: Kind, pk: int) -> Evaluation | BaselineRun:
    model: type[Evaluation] | type[BaselineRun] = Evaluation if kind == Kind.EVALUATION else BaselineRun
    found = model._default_manager.select_for_update().filter(pk=pk).first()
    if found is None:
        raise OrderRefused(f"There is no {kind.label} {pk}.")
    return found


def _named(kind: Kind, work: Evaluation | BaselineRun) -> str:
    return f"{kind.label} {work.pk}"


def _give_back(work: Evaluation | BaselineRun) -> None:
    """Under the claim that its worker has: with its next write that notices that it is gone."""
    if isinstance(work, Evaluation):
        evaluations.give_back(work, "an operator put it back")
    else:
        baselines.give_back(work)


def _usual_priority(work: Evaluation | BaselineRun) -> int:
    """What it was queued with when nobody wished anything."""
    return evaluations.usual_priority(work) if isinstance(work, Evaluation) else 0


def _another(ended: Evaluation | BaselineRun) -> Evaluation | BaselineRun:
    if isinstance(ended, BaselineRun):
        return _another_run(ended)
    # Locked, so that two operators or a reviewer do not queue two.
    submission = Submission.objects.select_for_update(of=("self",)).get(pk=ended.submission_id)
    if ended.for_audit:
        raise OrderRefused("Audits are drawn anew, not put back.")
    if ended.purpose == Evaluation.Purpose.ROUND:
        raise OrderRefused(f"{ended.title} is asked for again on its run's page.")
    is_for_the_board = ended.purpose == Evaluation.Purpose.BOARD
    # A base model alone is measured for every entry on it, whatever its submission's adapter is by now.
    is_of_base_model = ended.purpose == Evaluation.Purpose.BASE
    is_of_another_adapter = not is_of_base_model and ended.checkpoint_id != submission.checkpoint_id
    if submission.status not in (_AGAIN if is_for_the_board else MEASURABLE) or is_of_another_adapter:
        raise OrderRefused(f"Submission {submission.pk} is {submission.get_status_display()}.")
    active = submission.evaluations.filter(
        status__in=Evaluation.ACTIVE, protocol=ended.protocol, purpose=ended.purpose, domain=ended.domain
    )
    if active.filter(for_audit=False).exists():
        raise OrderRefused(f"Submission {submission.pk} is evaluated already under this protocol.")
    return evaluations.enqueue_again(ended)


def _another_run(ended: BaselineRun) -> BaselineRun:
    later = BaselineRun.objects.filter(
        pk__gt=ended.pk,
        status__in=BaselineRun.ACTIVE,
        config=ended.config,
        base_model=ended.base_model_id,
        original=ended.original_id,
    )
    if (there := later.first()) is not None:
        raise OrderRefused(f"Another one like it is on its way already: baseline run {there.pk}.")
    return runs_of_staff.again(ended)
