"""Whether a worker may begin work of a queue now: asked by every claim, in the database alone."""

from __future__ import annotations

from collections.abc import Collection

from django.db.models import Q

from portal.control import versions
from portal.control.models import Hold, Maintenance, Queue


def machine_of(worker: str) -> str:
    """The machine in a worker's name, which ends with the number of its process."""
    return worker.rpartition(":")[0] or worker


def refusal(worker: str, queue: Queue) -> str:
    """Why `worker` may begin nothing of `queue` now, in words; "" where it may."""
    return refusals(worker, [queue]).get(queue, "")


def refusals(worker: str, queues: Collection[Queue]) -> dict[Queue, str]:
    """The same of several queues; those of which it may begin something are left out."""
    if misfit := versions.misfit():  # then the tables of orders may be others
        return dict.fromkeys(queues, misfit)
    if (maintenance := Maintenance.objects.first()) is not None:
        return dict.fromkeys(queues, f"maintenance: {maintenance.reason}")
    holds = list(Hold.objects.filter(of(worker, *queues)))
    return {queue: f"{hold}: {hold.reason}" for hold in holds for queue in queues if concerns(hold, queue)}


def concerns(hold: Hold, queue: Queue) -> bool:
    """Whether what a worker was told is about its work of that queue."""
    return hold.kind == Hold.Kind.WORKER or hold.name == queue


def closed(queue: Queue) -> str:
    """Why nobody at all begins anything of `queue`, in words for everybody; "" where somebody may."""
    if (maintenance := Maintenance.objects.first()) is not None:
        return f"the site is under maintenance: {maintenance.reason}"
    hold = Hold.objects.filter(kind=Hold.Kind.QUEUE, name=queue).first()
    return f"{queue.label} are paused: {hold.reason}" if hold else ""


def of(worker: str, *queues: Queue) -> Q:
    """The holds that concern a worker's work of these queues: its own, its machine's and theirs."""
    own = Q(kind=Hold.Kind.WORKER, name__in={worker, machine_of(worker)})
    return own | Q(kind=Hold.Kind.QUEUE, name__in=queues)
