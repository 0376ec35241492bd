"""A baseline run in a worker's hands: claimed, its rounds recorded, ended. All under its claim."""

from __future__ import annotations

from dataclasses import asdict

from django.db import transaction

from evaluation.wire.training import Ready, Round
from portal.control.models import Queue
from portal.outages.causes import Failure
from portal.queues import wake_trainers
from portal.runs import claims
from portal.runs.models import BaselineRun, RoundMetric
from portal.submissions.models import Submission

Status = BaselineRun.Status

_MEASURED = [
    field.name for field in RoundMetric._meta.fields if field.name not in ("id", "run", "recorded_at")
]


@transaction.atomic
def claim(*, worker: str) -> BaselineRun | None:
    """Take the run that waits longest of those of the highest priority.

    Returns None when none waits, or the worker may begin none.
    """
    if not claims.may_begin(worker, Queue.TRAIN):
        return None
    claim_id = claims.take(BaselineRun.objects.order_by("-priority", "queued_at", "pk"), worker=worker)
    if claim_id is None:
        return None
    return BaselineRun.objects.select_related("base_model", "original").get(claim_id=claim_id)


@transaction.atomic
def record_setup(run: BaselineRun, ready: Ready) -> None:
    """Store what a run says of itself before its first round. Raises ClaimLostError."""
    claims.lock(run)
    setup = asdict(ready) | {"partition": ready.shares.rows}
    BaselineRun.objects.filter(pk=run.pk).update(setup=setup)


@transaction.atomic
def record_round(run: BaselineRun, measured: Round) -> None:
    """Store what a round was measured to take. Raises ClaimLostError.

    A round that is there already stays: a run that goes on tells its earlier rounds again, and one that lost
    its state on another machine does them again. What broke before a new round counts no more.
    """
    current = claims.lock(run)
    number, values = measured.round, asdict(measured)
    if current.round_metrics.filter(round=number).exists():
        return
    RoundMetric.objects.create(run=current, **{name: values[name] for name in _MEASURED})
    BaselineRun.objects.filter(pk=run.pk).update(
        rounds_done=max(current.rounds_done, number), attempts=0, error_code="", error_message=""
    )
    claims.went_well(run)


@transaction.atomic
def succeed(run: BaselineRun, entry: Submission) -> None:
    """End a run with the reference entry that came of it. Raises ClaimLostError."""
    claims.lock(run)
    claims.finish(run, Status.SUCCEEDED, submission=entry, error_code="", error_message="")


@transaction.atomic
def fail_attempt(run: BaselineRun, failure: Failure) -> BaselineRun.Status:
    """End a broken attempt: back to the queue, to go on after its last round, or failed for good."""
    status = claims.end_attempt(run, failure)
    if status == Status.QUEUED:
        wake_trainers()
    return status


@transaction.atomic
def give_back(run: BaselineRun) -> None:
    """Return a run to the queue because its worker is shutting down. Not a failed attempt."""
    claims.requeue(run)
    wake_trainers()


def release_expired() -> int:
    """Return runs whose worker is gone to the queue, or fail them after too many losses."""
    return claims.release_expired(BaselineRun.objects.all(), fail_attempt)


def work_is_waiting() -> bool:
    return BaselineRun.objects.filter(status=Status.QUEUED).exists()
