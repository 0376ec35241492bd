"""The state of the site as operators see it: workers, queues, storage, outages, releases, the last backup."""

from __future__ import annotations

import shutil
from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.db.models import Aggregate, Count, Min, Q, QuerySet, Sum
from django.db.models.functions import Coalesce
from django.utils import timezone

from portal.control import maintenance, versions
from portal.control.gate import machine_of
from portal.control.models import Act, Eviction, Hold, Maintenance, Queue
from portal.operate import last_backup
from portal.outages.models import Heartbeat, Outage
from portal.runs import presence
from portal.runs.models import BaselineRun, DroppedAnswers, Evaluation, Score, WorkerPresence
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
    """What a worker has in hand: an evaluation, a baseline run, or a fetch from the hub."""

    kind: str
    pk: int
    title: str
    since: datetime | None
    submission: int | None
    """Whose it is; a baseline run becomes one only when it is through."""


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
    answer_bytes: int
    answer_files_of_unknown_size: int
    """Early ones, which nobody measured; their bytes are in no sum."""
    free_bytes: int | None
    disk_bytes: int | None


@dataclass(frozen=True)
class Live:
    """What changes from one moment to the next; read without a look at what is stored."""

    maintenance: Maintenance | None
    workers: list[Worker]
    standing: list[Hold]
    """Orders to workers and machines of which none is there."""
    queues: list[QueueState]
    outages: list[Outage]
    release: str


@dataclass(frozen=True)
class Overview(Live):
    caches: list[Cache]
    evicted: list[Eviction]
    storage: Storage
    migrated_by: str
    scheduler_seen_at: datetime | None
    last_backup: datetime | None
    acts: list[Act]


RECENT_ACTS = 20


def live() -> Live:
    maintenance.look_again()
    there = workers()
    shown = {name for worker in there for name in (worker.name, worker.machine)}
    return Live(
        maintenance=maintenance.current(),
        workers=there,
        standing=list(Hold.objects.filter(kind=Hold.Kind.WORKER).exclude(name__in=shown)),
        queues=queues(),
        outages=list(Outage.objects.filter(ended_at=None)),
        release=versions.release(),
    )


def overview() -> Overview:
    recorded, beat = versions.recorded(), Heartbeat.objects.first()
    return Overview(
        **vars(live()),
        caches=_caches(),
        evicted=list(Eviction.objects.exclude(done_at=None)[:5]),
        storage=_storage(),
        migrated_by=recorded.name if recorded else "",
        scheduler_seen_at=beat.at if beat else None,
        last_backup=last_backup.made_at(),
        acts=list(acts()[:RECENT_ACTS]),
    )


def acts() -> QuerySet[Act]:
    """The record, the latest first."""
    return Act.objects.select_related("by")


def queues() -> list[QueueState]:
    holds = {hold.name: hold for hold in Hold.objects.filter(kind=Hold.Kind.QUEUE)}
    return [_queue(queue, holds.get(queue.value)) for queue in Queue]


def workers() -> list[Worker]:
    """Those that are there, or were of late."""
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
            hold=_strictest(holds.get(one.name), holds.get(machine_of(one.name))),
            doing=tuple(doing[one.name]),
        )
        for one in _shown()
    ]


def _shown() -> QuerySet[WorkerPresence]:
    return WorkerPresence.objects.filter(seen_at__gt=timezone.now() - SHOWN_GONE)


def _strictest(*holds: Hold | None) -> Hold | None:
    """Of what a worker and its machine were told: what gives back work goes before what lets it end."""
    given = [hold for hold in holds if hold is not None]
    return next((hold for hold in given if hold.how == Hold.How.PAUSE), given[0] if given else None)


def _doing() -> dict[str, list[Doing]]:
    found: dict[str, list[Doing]] = defaultdict(list)
    evaluations = Evaluation.objects.filter(status=Evaluation.Status.RUNNING).select_related("submission")
    for one in evaluations:
        beside = "" if one.purpose == Evaluation.Purpose.BOARD else f"{one.title}: "
        title = f"{beside}{one.submission.method}"
        found[one.worker].append(Doing("evaluation", one.pk, title, one.started_at, one.submission_id))
    for run in BaselineRun.objects.filter(status=BaselineRun.Status.RUNNING):
        found[run.worker].append(Doing("baseline", run.pk, run.method, run.started_at, None))
    for fetch in HubFetch.objects.filter(status=HubFetch.Status.RUNNING):
        found[fetch.worker].append(
            Doing("fetch", fetch.pk, str(fetch), fetch.started_at, fetch.submission_id)
        )
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


def _caches() -> list[Cache]:
    """By machine, as its workers share a disk: what the one seen last said."""
    latest: dict[str, WorkerPresence] = {}
    for one in _shown().order_by("seen_at"):
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
    # Two indexes: rows of scores are wide, and there are millions of files.
    answers = Score.objects.exclude(items="").aggregate(**_of_answers("items_bytes"))
    dropped = DroppedAnswers.objects.aggregate(**_of_answers("score__items_bytes"))
    kept = {name: answers[name] - dropped[name] for name in answers}
    is_folder = "storages" not in settings.STORAGES["default"]["BACKEND"]
    disk = shutil.disk_usage(settings.VAR_DIR) if is_folder else None
    return Storage(
        adapters=checkpoints["files"],
        adapter_bytes=checkpoints["size"] or 0,
        uploads=open_ones["files"],
        upload_bytes=open_ones["size"] or 0,
        answer_files=kept["files"],
        answer_bytes=kept["bytes"],
        answer_files_of_unknown_size=kept["files"] - kept["measured"],
        free_bytes=disk.free if disk else None,
        disk_bytes=disk.total if disk else None,
    )


def _of_answers(size: str) -> dict[str, Aggregate | Coalesce]:
    return {"files": Count("*"), "measured": Count(size), "bytes": Coalesce(Sum(size), 0)}
