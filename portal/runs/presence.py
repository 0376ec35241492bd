"""Which workers are there at present: each writes that down, with what it is and what it leaves to others.

A row of the database, because pages must not wait for an answer of a worker, and an idle one holds no lease.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta

from django.db.models import Max, QuerySet
from django.utils import timezone

from evaluation.gpus import Condition
from portal.control.models import Hold
from portal.queues import EVALUATE
from portal.runs.models import Evaluation, WorkerPresence
from portal.runs.services import LeftToOthers

BEAT_SECONDS = 15.0
ALIVE = timedelta(seconds=60)
"""A worker that was not seen for so long is not counted: some beats may be late on a busy machine."""

KEPT = timedelta(days=30)


@dataclass(frozen=True)
class CachedModel:
    """A base model in the hub's cache on a worker's disk; `used_at` is an ISO 8601 time."""

    repo: str
    bytes: int
    used_at: str


@dataclass(frozen=True)
class Said:
    """What a worker says of itself beside that it is there: see the fields of WorkerPresence."""

    started_at: datetime
    queues: tuple[str, ...]
    release: str
    hardware: str
    waits: str = ""
    cached: tuple[CachedModel, ...] = ()
    gpus: tuple[Condition, ...] = ()
    at_once: int = 1


@dataclass(frozen=True)
class Worker:
    """One that is there, and how many evaluations it takes. `name` tells the machine and is for operators
    only."""

    name: str
    leaves: tuple[LeftToOthers, ...] = ()
    at_once: int = 1

    def lacks(self, challenge: str, protocol: int, parameters: int) -> str:
        """What it lacks to run such an evaluation; "" where it can."""
        for left in self.leaves:
            asked = (left.challenge, left.protocol) == (challenge, protocol)
            if asked and (left.parameters is None or parameters > left.parameters):
                return left.waits_for
        return ""


def beat(name: str, leaves: Collection[LeftToOthers], said: Said | None = None) -> None:
    """Say that the worker is there; without `said`, that it evaluates."""
    told = {**asdict(said), "queues": list(said.queues)} if said else {"queues": [EVALUATE]}
    WorkerPresence.objects.update_or_create(
        name=name,
        defaults={"seen_at": timezone.now(), "leaves": [asdict(left) for left in leaves], **told},
    )


def leave(name: str) -> None:
    """Say that the worker ends; when it was last seen stays on record."""
    WorkerPresence.objects.filter(name=name).update(seen_at=timezone.now() - ALIVE)


def forget_old() -> None:
    """With what operators told them: another process has another number."""
    gone = WorkerPresence.objects.filter(seen_at__lt=timezone.now() - KEPT)
    Hold.objects.filter(kind=Hold.Kind.WORKER, name__in=list(gone.values_list("name", flat=True))).delete()
    gone.delete()


def there() -> QuerySet[WorkerPresence]:
    """All that were seen of late, whatever they do."""
    return WorkerPresence.objects.filter(seen_at__gt=timezone.now() - ALIVE)


def workers() -> list[Worker]:
    """Those that evaluate: seen of late and not kept from beginning something, or holding a lease."""
    seen = there().filter(queues__contains=[EVALUATE], waits="")
    known = [
        Worker(one.name, tuple(LeftToOthers(**left) for left in one.leaves), one.at_once) for one in seen
    ]
    holding = (
        Evaluation.objects.filter(status=Evaluation.Status.RUNNING, lease_expires_at__gt=timezone.now())
        .exclude(worker__in=[worker.name for worker in known])
        .order_by("worker")
        .values_list("worker", flat=True)
        .distinct()
    )
    return [*known, *map(Worker, holding)]


def last_seen() -> datetime | None:
    """When a worker was last there; None where none ever was."""
    found: datetime | None = WorkerPresence.objects.aggregate(last=Max("seen_at"))["last"]
    return found
