"""The state of the site as operators see it: workers, queues, storage, outages, releases, the last backup."""

from __future__ import annotations

import shutil
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.db.models import Count, Min, Q, Sum
from django.utils import timezone

from portal.control import maintenance, versions
from portal.control.gate import machine_of
from portal.control.models import Act, Eviction, Hold, Maintenance, Queue
from portal.operate import last_backup
from portal.outages.models import Heartbeat, Outage
from portal.runs import presence
from portal.runs.models import BaselineRun, Evaluation, Score, WorkerPresence
from portal.runs.presence import CachedModel
from portal.submissions.models import Checkpoint, HubFetch
from portal.uploads.models import Upload

# A worker that ended longer ago is of no interest any more.
SHOWN_GONE = timedelta(hours=1)
_WORK: dict[Queue, type[Evaluation] | type[BaselineRun]] = {
    Queue.EVALUATE: Evaluation,
    Queue.TRAIN: BaselineRun,
}


@dataclass(frozen=True)
class Doing:
    """What a worker has in hand."""

    kind: str
    pk: int
    title: str
    since: datetime | None


@dataclass(frozen=True)
class Worker:
    """`hold` is what it, or its machine, was told last; "its own" has the worker's name."""

    name: str
    machine: str
    seen_at: datetime
    is_there: bool
    started_at: datetime
    release: str
    hardware: str
    queues: tuple[str, ...]
    waits: str
    hold: Hold | None
    doing: tuple[Doing, ...]

    @property
    def state(self) -> str:
        """One word or two: gone, draining, drained, pausing, paused, waits, works or idle."""
        if not self.is_there:
            return "gone"
        if self.hold is not None:
            is_drained = self.hold.how == Hold.How.DRAIN
            under_way, over = ("draining", "drained") if is_drained else ("pausing", "paused")
            return under_way if self.doing else over
        if self.doing:
            return "works"
        return "waits" if self.waits else "idle"


@dataclass(frozen=True)
class QueueState:
    queue: Queue
    waiting: int
    running: int
    oldest: datetime | None
    hold: Hold | None


@dataclass(frozen=True)
class Cache:
    """The hub's cache on a machine, as its worker last said."""

    machine: str
    models: tuple[CachedModel, ...]
    asked: frozenset[str]
    """Those that were asked to be removed."""

    @property
    def bytes(self) -> int:
        return sum(model.bytes for model in self.models)


@dataclass(frozen=True)
class Storage:
    """What is stored, by the database; `free_bytes` is of the disk, None where a bucket holds the files."""

    adapters: int
    adapter_bytes: int
    uploads: int
    upload_bytes: int
    answer_files: int
    free_bytes: int | None
    disk_bytes: int | None


@dataclass(frozen=True)
class Overview:
    maintenance: Maintenance | None
    workers: list[Worker]
    standing: list[Hold]
    """Orders to workers and machines of which none is there."""
    queues: list[QueueState]
    caches: list[Cache]
    evicted: list[Eviction]
    storage: Storage
    outages: list[Outage]
    release: str
    migrated_by: str
    scheduler_seen_at: datetime | None
    last_backup: datetime | None
    acts: list[Act]


RECENT_ACTS = 20


def overview() -> Overview:
    maintenance.look_again()
    recorded, beat = versions.recorded(), Heartbeat.objects.first()
    present = list(WorkerPresence.objects.filter(seen_at__gt=timezone.now() - SHOWN_GONE))
    there = workers(present)
    shown = {name for worker in there for name in (worker.name, worker.machine)}
    return Overview(
        maintenance=maintenance.current(),
        workers=there,
        standing=list(Hold.objects.filter(kind=Hold.Kind.WORKER).exclude(name__in=shown)),
        queues=queues(),
        caches=_caches(present),
        evicted=list(Eviction.objects.exclude(done_at=None)[:5]),
        storage=_storage(),
        outages=list(Outage.objects.filter(ended_at=None)),
        release=versions.release(),
        migrated_by=recorded.name if recorded else "",
        scheduler_seen_at=beat.at if beat else None,
        last_backup=last_backup.made_at(),
        acts=list(Act.objects.select_related("by")[:RECENT_ACTS]),
    )


def queues() -> list[QueueState]:
    holds = {hold.name: hold for hold in Hold.objects.filter(kind=Hold.Kind.QUEUE)}
    return [_queue(queue, holds.get(queue.value)) for queue in Queue]


def workers(present: Iterable[WorkerPresence] | None = None) -> list[Worker]:
    """Those that are there, or were of late."""
    if present is None:
        present = WorkerPresence.objects.filter(seen_at__gt=timezone.now() - SHOWN_GONE)
    holds = {hold.name: hold for hold in Hold.objects.filter(kind=Hold.Kind.WORKER)}
    alive, doing = timezone.now() - presence.ALIVE, _doing()
    return [
        Worker(
            name=one.name,
            machine=machine_of(one.name),
            seen_at=one.seen_at,
            is_there=one.seen_at > alive,
            started_at=one.started_at,
            release=one.release,
            hardware=one.hardware,
            queues=tuple(one.queues),
            waits=one.waits,
            hold=holds.get(one.name) or holds.get(machine_of(one.name)),
            doing=tuple(doing[one.name]),
        )
        for one in present
    ]


def _doing() -> dict[str, list[Doing]]:
    found: dict[str, list[Doing]] = defaultdict(list)
    evaluations = Evaluation.objects.filter(status=Evaluation.Status.RUNNING).select_related("submission")
    for one in evaluations.only("worker", "started_at", "submission__method"):
        found[one.worker].append(Doing("evaluation", one.pk, one.submission.method, one.started_at))
    for run in BaselineRun.objects.filter(status=BaselineRun.Status.RUNNING).only(
        "worker", "started_at", "method"
    ):
        found[run.worker].append(Doing("baseline", run.pk, run.method, run.started_at))
    return found


def _queue(queue: Queue, hold: Hold | None) -> QueueState:
    if queue == Queue.FETCH:
        found = HubFetch.objects.aggregate(
            waiting=Count("pk", filter=Q(status=HubFetch.Status.WAITING)),
            running=Count("pk", filter=Q(status=HubFetch.Status.RUNNING)),
            oldest=Min("requested_at", filter=Q(status=HubFetch.Status.WAITING)),
        )
    else:
        is_queued = Q(status=Evaluation.Status.QUEUED)
        rows = _WORK[queue]._default_manager.filter(status__in=Evaluation.ACTIVE)
        found = rows.aggregate(
            waiting=Count("pk", filter=is_queued),
            running=Count("pk", filter=~is_queued),
            oldest=Min("queued_at", filter=is_queued),
        )
    return QueueState(queue=queue, hold=hold, **found)


def _caches(present: Iterable[WorkerPresence]) -> list[Cache]:
    """By machine, as its workers share a disk: what the one seen last said."""
    latest: dict[str, WorkerPresence] = {}
    for one in sorted(present, key=lambda one: one.seen_at):
        latest[machine_of(one.name)] = one
    asked: dict[str, set[str]] = defaultdict(set)
    for eviction in Eviction.objects.filter(done_at=None):
        asked[eviction.machine].add(eviction.repo)
    return [
        Cache(machine, tuple(CachedModel(**model) for model in one.cached), frozenset(asked[machine]))
        for machine, one in sorted(latest.items())
    ]


def _storage() -> Storage:
    checkpoints = Checkpoint.objects.aggregate(files=Count("file", distinct=True), size=Sum("size"))
    uploads = Upload.objects.filter(consumed_at=None, discarded_at=None)
    open_ones = uploads.aggregate(files=Count("pk"), size=Sum("offset"))
    is_folder = "storages" not in settings.STORAGES["default"]["BACKEND"]
    disk = shutil.disk_usage(settings.VAR_DIR) if is_folder else None
    return Storage(
        adapters=checkpoints["files"],
        adapter_bytes=checkpoints["size"] or 0,
        uploads=open_ones["files"],
        upload_bytes=open_ones["size"] or 0,
        answer_files=Score.objects.exclude(items="").count(),
        free_bytes=disk.free if disk else None,
        disk_bytes=disk.total if disk else None,
    )
