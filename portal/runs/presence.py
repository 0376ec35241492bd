"""Which workers evaluate at present: each writes down that it is there, and what it leaves to others.

A row of the database, because pages must not wait for an answer of a worker, and an idle one holds no lease.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta

from django.db.models import Max
from django.utils import timezone

from evaluation.gpus import Condition
from portal.runs.models import Evaluation, WorkerPresence
from portal.runs.services import LeftToOthers

BEAT_SECONDS = 15.0
ALIVE = timedelta(seconds=60)
"""A worker that was not seen for so long is not counted: some beats may be late on a busy machine."""

KEPT = timedelta(days=30)


@dataclass(frozen=True)
class Worker:
    """One that is there. `name` tells the machine and is for operators only."""

    name: str
    leaves: tuple[LeftToOthers, ...] = ()

    def lacks(self, challenge: str, protocol: int, parameters: int) -> str:
        """What it lacks to run such an evaluation; "" where it can."""
        for left in self.leaves:
            asked = (left.challenge, left.protocol) == (challenge, protocol)
            if asked and (left.parameters is None or parameters > left.parameters):
                return left.waits_for
        return ""


def beat(name: str, leaves: Collection[LeftToOthers], gpus: Collection[Condition] = ()) -> None:
    """Say that the worker is there."""
    said = {"leaves": [asdict(left) for left in leaves], "gpus": [asdict(gpu) for gpu in gpus]}
    WorkerPresence.objects.update_or_create(name=name, defaults={"seen_at": timezone.now(), **said})


def leave(name: str) -> None:
    """Say that the worker ends; when it was last seen stays on record."""
    WorkerPresence.objects.filter(name=name).update(seen_at=timezone.now() - ALIVE)


def forget_old() -> None:
    WorkerPresence.objects.filter(seen_at__lt=timezone.now() - KEPT).delete()


def workers() -> list[Worker]:
    """Those that are there: seen of late, or holding a lease."""
    seen = WorkerPresence.objects.filter(seen_at__gt=timezone.now() - ALIVE)
    there = [Worker(one.name, tuple(LeftToOthers(**left) for left in one.leaves)) for one in seen]
    holding = (
        Evaluation.objects.filter(status=Evaluation.Status.RUNNING, lease_expires_at__gt=timezone.now())
        .exclude(worker__in=[worker.name for worker in there])
        .order_by("worker")
        .values_list("worker", flat=True)
        .distinct()
    )
    return [*there, *map(Worker, holding)]


def last_seen() -> datetime | None:
    """When a worker was last there; None where none ever was."""
    found: datetime | None = WorkerPresence.objects.aggregate(last=Max("seen_at"))["last"]
    return found
