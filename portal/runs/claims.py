"""Claims on queued work: one statement takes a row, a lease keeps it, every write asks for the claim.

What holds for evaluations and baseline runs alike; what either means for a submission stands in their own
services.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, TypeVar

from django.conf import settings
from django.db import transaction
from django.db.models import QuerySet, Subquery
from django.utils import timezone

from evaluation.errors import Fault
from evaluation.log_lines import about
from portal.control import gate
from portal.control.gate import machine_of
from portal.control.models import Queue
from portal.outages import waiting
from portal.outages.causes import Failure
from portal.runs.models import Claimable

logger = logging.getLogger(__name__)

Work = TypeVar("Work", bound=Claimable)
Status = Claimable.Status

_LOST = Failure(
    "worker_lost",
    "The worker stopped without a word, as after a power cut or an out-of-memory kill.",
    Fault.CRASH,
)


class ClaimLostError(waiting.LostError):
    """The work is no longer this worker's: its lease expired or it was cancelled."""


def may_begin(worker: str, queue: Queue) -> bool:
    """Whether operators and versions let `worker` begin something of `queue`; the log says why not."""
    refusal = gate.refusal(worker, queue)
    if refusal:
        logger.info("%s begins none of the %s: %s", worker, queue.label, refusal)
    return not refusal


def take(candidates: QuerySet[Work], *, worker: str, **changes: Any) -> uuid.UUID | None:
    """Claim the first of the ordered `candidates` for `worker`; None when none may be tried now.

    One statement with SKIP LOCKED, so that concurrent workers never wait for or doubly take a row.
    """
    claim_id = uuid.uuid4()
    model = candidates.model
    first = (
        candidates.filter(waiting.is_due(machine_of(worker)), status=Status.QUEUED)
        .select_for_update(skip_locked=True, of=("self",))
        .values("pk")[:1]
    )
    taken = model._default_manager.filter(pk=Subquery(first)).update(
        status=Status.RUNNING,
        claim_id=claim_id,
        lease_expires_at=_lease_end(),
        worker=worker,
        started_at=timezone.now(),
        progress={},
        **waiting.TRYING,
        **changes,
    )
    return claim_id if taken else None


def renew(work: Claimable, *, progress: dict[str, Any] | None = None) -> None:
    """Extend the lease and store live progress. Raises ClaimLostError."""
    changes: dict[str, Any] = {"lease_expires_at": _lease_end()}
    if progress is not None:
        changes["progress"] = progress
    _update(work, changes)


def lock(work: Work) -> Work:
    """The row as it stands, locked for the rest of the transaction. Raises ClaimLostError."""
    locked = _claimed(work).select_for_update().first()
    if locked is None:
        raise _lost(work)
    return locked


def finish(work: Claimable, status: Claimable.Status, **changes: Any) -> None:
    """End claimed work for good. Raises ClaimLostError."""
    _update(work, {**_released(status), **waiting.OVER, "finished_at": timezone.now(), **changes})
    _say(work, "is over", status.label, changes.get("error_code"))


def requeue(work: Claimable, **changes: Any) -> None:
    """Give claimed work back to the queue. Raises ClaimLostError."""
    _update(work, {**_released(Status.QUEUED), **changes})
    outage = changes.get("outage")
    _say(work, "goes back to the queue", changes.get("error_code"), outage and f"waits for {outage.words}")


@transaction.atomic
def end_attempt(work: Claimable, failure: Failure) -> Claimable.Status:
    """End a broken attempt: back to the queue if a retry may help, else failed with the stored reason.

    One that an outage broke waits for its end and counts for none, until the operator's patience is over.
    Raises ClaimLostError.
    """
    current = lock(work)
    if failure.fault is Fault.OUTAGE:
        pause = waiting.wait(current, failure, machine=machine_of(current.worker))
        if pause is not None:
            requeue(current, **pause)
            return Status.QUEUED
        reason = waiting.given_up(current, failure)
        finish(current, Status.FAILED, error_code=failure.code, error_message=reason)
        return Status.FAILED
    tried = current.attempts + 1
    ended = {"attempts": tried, "error_code": failure.code, "error_message": failure.message, **waiting.OVER}
    if failure.fault is Fault.CRASH and tried < settings.EVALUATION_ATTEMPTS:
        requeue(current, **ended)
        return Status.QUEUED
    finish(current, Status.FAILED, **ended)
    return Status.FAILED


def went_well(work: Claimable) -> None:
    """Note that claimed work got further: what it waited for before is over. Raises ClaimLostError."""
    _update(work, waiting.OVER)


def release_expired(work: QuerySet[Work], fail_attempt: Callable[[Work, Failure], object]) -> int:
    """Call `fail_attempt` for all that is running although its lease ended, and return how many."""
    expired = work.filter(status=Status.RUNNING, lease_expires_at__lt=timezone.now())
    released = 0
    for lost in expired:
        with transaction.atomic():
            # Its worker, or another recovery, may have been faster; and whose row a lost machine still has
            # locked must not hold up the others.
            row = expired.filter(pk=lost.pk, claim_id=lost.claim_id).select_for_update(skip_locked=True)
            if row.exists():
                fail_attempt(lost, _LOST)
                released += 1
    return released


@transaction.atomic
def cancel(work: QuerySet[Work], **changes: Any) -> int:
    """Cancel what is queued or running; a running worker notices at its next write. Returns how many."""
    active = work.filter(status__in=Claimable.ACTIVE)
    for one in active:
        _say(one, "is cancelled")
    return active.update(
        **{**_released(Status.CANCELLED), **waiting.OVER, "finished_at": timezone.now(), **changes}
    )


def _released(status: Claimable.Status) -> dict[str, Any]:
    return {"status": status, "claim_id": None, "lease_expires_at": None, "progress": {}}


def _update(work: Claimable, changes: dict[str, Any]) -> None:
    if not _claimed(work).update(**changes):
        raise _lost(work)


def _claimed(work: Work) -> QuerySet[Work]:
    return type(work)._default_manager.filter(pk=work.pk, claim_id=work.claim_id, status=Status.RUNNING)


def _say(work: Claimable, what: str, *why: object) -> None:
    """In the operators' log, once it is so, with what it belongs to; whoever recovered it says it too."""
    words = ", ".join(str(one) for one in why if one)

    def say() -> None:
        with about(**work.log_ids):
            logger.info("%s %s%s", work, what, words and f": {words}")

    transaction.on_commit(say)


def _lost(work: Claimable) -> ClaimLostError:
    return ClaimLostError(f"{work} is no longer claimed by this worker")


def _lease_end() -> datetime:
    return timezone.now() + timedelta(seconds=settings.EVALUATION_LEASE_SECONDS)
