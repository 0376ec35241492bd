"""Of the work of workers: what waits, what runs, what broke, how fast it went. A few queries over indexes."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from django.db.models import Count, F, Max, Min, Q, QuerySet, Sum, TextField, Value
from django.db.models.fields.json import KeyTextTransform
from django.db.models.functions import Coalesce, NullIf
from django.utils import timezone
from prometheus_client.metrics_core import GaugeMetricFamily, Metric

from evaluation.gpus import SLOWED_BY, Condition
from evaluation.rules.challenges import CHALLENGES
from portal.control.models import Hold, Maintenance, Queue
from portal.outages.models import Heartbeat, Outage
from portal.queues import EVALUATE
from portal.runs import claims, presence
from portal.runs.models import BaselineRun, Evaluation, Score, WorkerPresence
from portal.runs.models.claimable import Claimable
from portal.submissions.models import HubFetch

RECENT = timedelta(days=1)
# A machine that has been gone for longer is no series any more.
SEEN_OF_LATE = timedelta(hours=1)


def read() -> Iterator[Metric]:
    yield from _queues()
    yield _closed()
    yield from _workers()
    yield from _gpus()
    yield from _outages()
    yield _broken_attempts()
    yield from _speed()


def _queues() -> Iterator[Metric]:
    queued = GaugeMetricFamily(
        "flowertune_queued", "Work that waits for a worker", labels=["work", "challenge"]
    )
    running = GaugeMetricFamily(
        "flowertune_running", "Work that a worker has in hand", labels=["work", "challenge"]
    )
    oldest = GaugeMetricFamily(
        "flowertune_oldest_queued_timestamp_seconds",
        "Since when the work that waits longest has been in the queue",
        labels=["work", "challenge"],
    )
    for_boards = Evaluation.objects.filter(purpose=Evaluation.Purpose.BOARD)
    beside = Evaluation.objects.exclude(purpose=Evaluation.Purpose.BOARD)
    kinds: list[tuple[str, QuerySet[Claimable], str]] = [
        ("evaluation", for_boards, "submission__challenge"),
        # Waits until nothing else does, however long that is: not what an alert looks at.
        ("measuring", beside, "submission__challenge"),
        ("training", BaselineRun.objects.all(), "challenge"),
    ]
    for work, rows, challenge in kinds:
        found = {row[0]: row for row in _by_challenge(rows, challenge)}
        for slug in CHALLENGES:
            _, waiting, in_hand, since = found.get(slug, (slug, 0, 0, None))
            queued.add_metric([work, slug], waiting)
            running.add_metric([work, slug], in_hand)
            if since is not None:
                oldest.add_metric([work, slug], since.timestamp())
    fetches = HubFetch.objects.aggregate(
        waiting=Count("pk", filter=Q(status=HubFetch.Status.WAITING)),
        in_hand=Count("pk", filter=Q(status=HubFetch.Status.RUNNING)),
        since=Min("requested_at", filter=Q(status=HubFetch.Status.WAITING)),
    )
    queued.add_metric(["hub fetch", ""], fetches["waiting"])
    running.add_metric(["hub fetch", ""], fetches["in_hand"])
    if fetches["since"] is not None:
        oldest.add_metric(["hub fetch", ""], fetches["since"].timestamp())
    yield from (queued, running, oldest)


def _by_challenge(
    rows: QuerySet[Claimable], challenge: str
) -> QuerySet[Claimable, tuple[str, int, int, datetime | None]]:
    is_queued = Q(status=Claimable.Status.QUEUED)
    return (
        rows.filter(status__in=Claimable.ACTIVE)
        .order_by()
        .values_list(challenge)
        .annotate(
            waiting=Count("pk", filter=is_queued),
            in_hand=Count("pk", filter=~is_queued),
            since=Min("queued_at", filter=is_queued),
        )
    )


def _closed() -> Metric:
    closed = GaugeMetricFamily(
        "flowertune_closed", "1 where operators let nothing begin of a queue, else 0", labels=["queue"]
    )
    is_maintained = Maintenance.objects.exists()
    held = set(Hold.objects.filter(kind=Hold.Kind.QUEUE).values_list("name", flat=True))
    for queue in Queue:
        closed.add_metric([queue.value], is_maintained or queue.value in held)
    return closed


def _workers() -> Iterator[Metric]:
    """By machine, as a process' number is another one after each start."""
    now = timezone.now()
    states = GaugeMetricFamily(
        "flowertune_workers", "Workers that are there and take evaluations, by what they do", labels=["state"]
    )
    seen = GaugeMetricFamily(
        "flowertune_worker_last_seen_timestamp_seconds",
        "When a machine's last worker said that it is there; of machines seen within an hour",
        labels=["machine"],
    )
    scheduler = GaugeMetricFamily(
        "flowertune_scheduler_last_seen_timestamp_seconds", "When the periodic recovery last ran"
    )
    there = {worker.name for worker in presence.workers()}
    evaluating = set(
        Evaluation.objects.filter(status=Evaluation.Status.RUNNING, lease_expires_at__gt=now)
        .order_by()
        .values_list("worker", flat=True)
    )
    states.add_metric(["evaluating"], len(there & evaluating))
    states.add_metric(["idle"], len(there - evaluating))
    kept = presence.there().filter(queues__contains=[EVALUATE]).exclude(waits="")
    states.add_metric(["waits"], kept.exclude(name__in=there).count())
    machines: dict[str, datetime] = {}
    rows = WorkerPresence.objects.filter(seen_at__gt=now - SEEN_OF_LATE)
    for name, at in rows.values_list("name", "seen_at"):
        machine = claims.machine_of(name)
        machines[machine] = max(at, machines.get(machine, at))
    for machine, at in sorted(machines.items()):
        seen.add_metric([machine], at.timestamp())
    beat = Heartbeat.objects.aggregate(last=Max("at"))["last"]
    if beat is not None:
        scheduler.add_metric([], beat.timestamp())
    yield from (states, seen, scheduler)


def _gpus() -> Iterator[Metric]:
    """Of workers that are there, by their last sign of life; a GPU that two share is told once."""
    labels = ["machine", "gpu"]
    used = GaugeMetricFamily(
        "flowertune_gpu_memory_used_bytes", "Memory of a GPU that is taken", labels=labels
    )
    size = GaugeMetricFamily("flowertune_gpu_memory_size_bytes", "Memory of a GPU", labels=labels)
    temperature = GaugeMetricFamily("flowertune_gpu_temperature_celsius", "Heat of a GPU", labels=labels)
    slowed = GaugeMetricFamily(
        "flowertune_gpu_throttled", "1 where a GPU is slowed by this, else 0", labels=[*labels, "by"]
    )
    rows = WorkerPresence.objects.filter(seen_at__gt=timezone.now() - presence.ALIVE).order_by("seen_at")
    found = {
        (claims.machine_of(name), gpu["uuid"]): Condition(**gpu)
        for name, gpus in rows.values_list("name", "gpus")
        for gpu in gpus
    }
    for (machine, uuid), gpu in sorted(found.items()):
        used.add_metric([machine, uuid], gpu.memory_used)
        size.add_metric([machine, uuid], gpu.memory_bytes)
        if gpu.temperature is not None:
            temperature.add_metric([machine, uuid], gpu.temperature)
        if gpu.slowed_by is not None:
            for cause in SLOWED_BY:
                slowed.add_metric([machine, uuid, cause], cause in gpu.slowed_by)
    yield from (used, size, temperature, slowed)


def _outages() -> Iterator[Metric]:
    lasting = GaugeMetricFamily(
        "flowertune_outages", "Outages that work waits for the end of", labels=["cause"]
    )
    ended = GaugeMetricFamily(
        "flowertune_attempts_ended_by_outages",
        "Attempts that outages of the last day ended, which uses none up",
        labels=["cause"],
    )
    rows = (
        Outage.objects.filter(last_seen_at__gt=timezone.now() - RECENT)
        .union(Outage.objects.filter(ended_at=None))
        .values_list("cause", "count", "ended_at")
    )
    open_now: dict[str, int] = {}
    attempts: dict[str, int] = {}
    for cause, count, ended_at in rows:
        open_now[cause] = open_now.get(cause, 0) + (ended_at is None)
        attempts[cause] = attempts.get(cause, 0) + count
    for cause in sorted(open_now):
        lasting.add_metric([cause], open_now[cause])
        ended.add_metric([cause], attempts[cause])
    yield from (lasting, ended)


def _broken_attempts() -> Metric:
    """By the last error of each evaluation; the cause `worker_lost` is a lease that ran out."""
    broken = GaugeMetricFamily(
        "flowertune_broken_attempts",
        "Attempts that broke, of evaluations begun within a day, by the last cause",
        labels=["cause", "evaluation"],
    )
    earlier = KeyTextTransform("code", KeyTextTransform("earlier_failure", "provenance"))
    rows = (
        Evaluation.objects.filter(started_at__gt=timezone.now() - RECENT, attempts__gt=0)
        .order_by()
        .annotate(
            cause=Coalesce(NullIf(F("error_code"), Value("")), earlier, Value(""), output_field=TextField())
        )
        .values_list("cause", "status")
        .annotate(Sum("attempts"))
    )
    for cause, status, attempts in rows:
        broken.add_metric([cause, status], attempts)
    return broken


def _speed() -> Iterator[Metric]:
    labels = ["challenge"]
    items = GaugeMetricFamily(
        "flowertune_recent_items", "Items answered in evaluations begun within a day", labels=labels
    )
    tokens = GaugeMetricFamily(
        "flowertune_recent_tokens", "Tokens of their prompts and answers", labels=labels
    )
    seconds = GaugeMetricFamily("flowertune_recent_seconds", "What their benchmarks took", labels=labels)
    joules = GaugeMetricFamily(
        "flowertune_recent_joules", "What accelerators with a meter used for them", labels=labels
    )
    rows = (
        Score.objects.filter(evaluation__started_at__gt=timezone.now() - RECENT)
        .order_by()
        .values_list("evaluation__submission__challenge")
        .annotate(Sum("n"), Sum("tokens"), Sum("seconds"), Sum("energy_joules"))
    )
    for slug, n, of_tokens, took, energy in rows:
        items.add_metric([slug], n)
        tokens.add_metric([slug], of_tokens)
        seconds.add_metric([slug], took)
        if energy is not None:
            joules.add_metric([slug], energy)
    yield from (items, tokens, seconds, joules)
