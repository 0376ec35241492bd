"""When what waits is expected to start and to be through, by what similar evaluations took here.

The queue is played out in its order over the workers that are there, once with the times that a quarter of
the similar evaluations stayed below and once with those that nine of ten did. An expectation is the interval
between the two; where nothing similar was evaluated, none is given.
"""

from __future__ import annotations

import hashlib
import math
import statistics
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache as remembered

from django.core.cache import cache
from django.db.models import Case, CharField, Count, F, Max, Q, Value, When
from django.utils import timezone

from evaluation import rules
from evaluation.benchmarks import BENCHMARKS
from evaluation.data.dataset import SMOKE_RUN_ITEMS
from evaluation.rules.protocol import PROTOCOLS
from portal.control import gate
from portal.control.models import Queue
from portal.runs import fairness, presence
from portal.runs.models import Evaluation
from portal.runs.presence import Worker

Status = Evaluation.Status
Kind = tuple[str, int, int, bool]
"""Challenge asked about, or "leakage"; protocol; parameters of the base model; whether it is a smoke run."""

Spans = tuple[float, float]
"""Seconds, of a short and of a long one; or the times that follow from them."""

NO_WORKER = "no worker is running"

MEASURED = 500
"""So many of the latest evaluations say how long one takes."""

SIMILAR_SIZE = 2.0
"""Base models of at most so many times each other's parameters take similarly long."""

FEW = 5
"""Of fewer similar evaluations than these the interval is from half the shortest to twice the longest."""

_KEPT_SECONDS = 10

_ASKED = Case(
    When(purpose=Evaluation.Purpose.LEAKAGE, then=Value(Evaluation.Purpose.LEAKAGE.value)),
    When(domain="", then=F("submission__challenge")),
    default=F("domain"),
    output_field=CharField(),
)
_KIND = (_ASKED, "protocol", "base_model__parameters", "smoke_run")


@dataclass(frozen=True)
class Interval:
    """From the earliest to the latest time that is expected."""

    earliest: datetime
    latest: datetime


@dataclass(frozen=True)
class Expectation:
    """Of a queued evaluation: its place (1 is next), when it starts and is through, None while unknown.

    `hindrance` says what keeps it from being claimed, as in "no worker is running".
    """

    position: int | None
    start: Interval | None = None
    end: Interval | None = None
    hindrance: str = ""


def expectation(evaluation: Evaluation) -> Expectation:
    """Of one that is queued."""
    if found := expectations().get(evaluation.pk):
        return found
    if evaluation.protocol not in PROTOCOLS:
        return Expectation(None, hindrance="waiting for a worker that knows its protocol")
    now = timezone.now()  # claimed since it was read
    return Expectation(1, start=Interval(now, now))


def in_words(told: Expectation) -> str:
    """What is expected, for people: without times of day, which are others' in other places."""
    if told.hindrance:
        return told.hindrance
    if told.start is None:
        return "nothing like what comes before it was evaluated here yet, so its start cannot be told"
    return f"starts {_from_now(told.start)}"


def end_in_words(end: Interval | None) -> str:
    return f"done {_from_now(end)}" if end else ""


def _from_now(interval: Interval) -> str:
    now = timezone.now()
    low, high = (
        max(0, round((time - now).total_seconds() / 60)) for time in (interval.earliest, interval.latest)
    )
    if high <= 1:
        return "within a minute or two"
    if low == 0:
        return f"within {_minutes(high)}"
    if _minutes(low) == _minutes(high):
        return f"in about {_minutes(high)}"
    first, (number, unit) = _minutes(low), _minutes(high).split()
    return f"in {first.removesuffix(f' {unit}')} to {number} {unit}"


def _minutes(minutes: int) -> str:
    """As exactly as makes sense of what is only expected."""
    if minutes < 90:
        exact = minutes if minutes < 10 else 5 * round(minutes / 5)
        return f"{exact} minute{'s' if exact != 1 else ''}"
    hours = round(minutes / 60)
    return f"{hours} hours" if hours < 48 else f"{round(hours / 24)} days"


def expected_end(evaluation: Evaluation) -> Interval | None:
    """Of one that runs; None where nothing similar was evaluated, or it takes longer than is known."""
    size = evaluation.base_model.parameters or 0
    of_leakage = evaluation.purpose == Evaluation.Purpose.LEAKAGE
    asked = evaluation.purpose if of_leakage else evaluation.challenge
    spans = _spans()((asked, evaluation.protocol, size, evaluation.smoke_run))
    if spans is None or evaluation.started_at is None:
        return None
    low, high = (evaluation.started_at.timestamp() + seconds for seconds in spans)
    now = timezone.now().timestamp()
    return _interval(max(low, now), high) if high > now else None


def expectations() -> dict[int, Expectation]:
    """Of all that are queued, in the queue's order.

    Kept for seconds while neither queue nor workers change: many pages ask, each every few seconds.
    """
    active = Evaluation.objects.filter(status__in=Evaluation.ACTIVE)
    state = active.aggregate(
        active=Count("pk"),
        queued=Count("pk", filter=Q(status=Status.QUEUED)),
        last=Max("pk"),
        started=Max("started_at"),
    )
    workers = presence.workers()
    digest = hashlib.sha256(repr((sorted(state.items()), workers)).encode()).hexdigest()
    kept = cache.get(f"expectations:{digest}")
    if kept is None:
        kept = [list(row) for row in _played_out(workers)]
        cache.set(f"expectations:{digest}", kept, _KEPT_SECONDS)
    return {row[0]: _expectation(*row[1:]) for row in kept}


def _expectation(
    position: int | None, starts: Spans | None, ends: Spans | None, hindrance: str
) -> Expectation:
    return Expectation(position, starts and _interval(*starts), ends and _interval(*ends), hindrance)


def _interval(earliest: float, latest: float) -> Interval:
    """In whole minutes, outwards: more would be no knowledge."""
    rounded = (60 * math.floor(earliest / 60), 60 * math.ceil(latest / 60))
    return Interval(*(datetime.fromtimestamp(second, UTC) for second in rounded))


def _played_out(workers: list[Worker]) -> Iterator[tuple[int, int | None, Spans | None, Spans | None, str]]:
    """Of each that waits, in order: its number, its place, when it starts and ends, and what hinders it."""
    known = Evaluation.objects.filter(status=Status.QUEUED, protocol__in=list(PROTOCOLS))
    held = Q(outage__isnull=False, waits_until__gt=timezone.now())
    queued = known.exclude(held)
    kinds = {
        pk: (challenge, protocol, parameters or 0, is_smoke_run)
        for pk, challenge, protocol, parameters, is_smoke_run in queued.values_list("pk", *_KIND)
    }
    now = timezone.now()
    order = fairness.in_order(fairness.waiting_of(queued), fairness.turns_of_late(), now=now).waiting
    spans, position, closed = _spans(), 0, gate.closed(Queue.EVALUATE)
    lines = [_Line(workers, spans, quickly) for quickly in (True, False)]
    for one in order:
        kind = kinds.get(one.pk)
        if kind is None:  # it came between the two questions
            continue
        lacking = [worker.lacks(*kind[:3]) for worker in workers]
        if lacking and all(lacking):
            yield one.pk, None, None, None, f"no worker here can compute it: it waits for {lacking[0]}"
            continue
        position += 1
        if closed:
            yield one.pk, position, None, None, closed
            continue
        able = [number for number, lacks in enumerate(lacking) if not lacks]
        times = [line.take(able, kind) for line in lines]
        starts = _both(times[0][0], times[1][0])
        yield (
            one.pk,
            position,
            starts,
            starts and _both(times[0][1], times[1][1]),
            "" if workers else NO_WORKER,
        )
    for waits in known.filter(held).select_related("outage").order_by("waits_until", "pk"):
        yield waits.pk, None, None, None, waits.wait_in_words


def _smoke_run_share(challenge: str, protocol: int) -> float:
    """Of the items of an evaluation in full."""
    benchmarks = [BENCHMARKS[slug] for slug in rules.of(challenge, protocol).benchmarks]
    return SMOKE_RUN_ITEMS * len(benchmarks) / sum(benchmark.rows for benchmark in benchmarks)


def _both(low: float | None, high: float | None) -> Spans | None:
    return None if low is None or high is None else (low, max(low, high))


class _Line:
    """The workers with the times when each has a place free next; None once that is not known."""

    def __init__(self, workers: list[Worker], spans: Callable[[Kind], Spans | None], quickly: bool) -> None:
        self._spans, self._which = spans, 0 if quickly else 1
        now = timezone.now().timestamp()
        self._free: list[list[float | None]] = [[now] * worker.at_once for worker in workers]
        numbers = {worker.name: number for number, worker in enumerate(workers)}
        running = Evaluation.objects.filter(status=Status.RUNNING, worker__in=list(numbers))
        for worker, started, challenge, protocol, parameters, is_smoke_run in running.values_list(
            "worker", "started_at", *_KIND
        ):
            seconds = self._seconds((challenge, protocol, parameters or 0, is_smoke_run))
            free = None if seconds is None or started is None else max(now, started.timestamp() + seconds)
            places = self._free[numbers[worker]]
            if now in places:  # else it told of fewer before than it has now
                places[places.index(now)] = free

    def take(self, able: list[int], kind: Kind) -> tuple[float | None, float | None]:
        """When the first of the workers that are able can start it, and when it is through."""
        known = [
            (start, number, place)
            for number in able
            for place, start in enumerate(self._free[number])
            if start is not None
        ]
        if not known:
            return None, None
        start, number, place = min(known)
        seconds = self._seconds(kind)
        end = None if seconds is None else start + seconds
        self._free[number][place] = end
        return start, end

    def _seconds(self, kind: Kind) -> float | None:
        spans = self._spans(kind)
        return spans[self._which] if spans else None


def _spans() -> Callable[[Kind], Spans | None]:
    """What tells how many seconds an evaluation of a kind takes, from a short to a long one."""
    latest = (
        Evaluation.objects.filter(
            status__in=[Status.SUCCEEDED, Status.TRIED, Status.MEASURED], started_at__isnull=False
        )
        .order_by("-started_at")
        .values_list(*_KIND, "started_at", "finished_at")[:MEASURED]
    )
    measured: dict[tuple[str, int, bool], list[tuple[int, float]]] = defaultdict(list)
    for challenge, protocol, parameters, is_smoke_run, started, finished in latest:
        assert started and finished
        seconds = (finished - started).total_seconds()
        measured[challenge, protocol, is_smoke_run].append((parameters or 0, seconds))

    @remembered
    def spans(kind: Kind) -> Spans | None:
        challenge, protocol, size, is_smoke_run = kind
        alike = [
            seconds
            for parameters, seconds in measured[challenge, protocol, is_smoke_run]
            if size <= SIMILAR_SIZE * parameters and parameters <= SIMILAR_SIZE * size
        ]
        if not alike and is_smoke_run and (in_full := spans((challenge, protocol, size, False))):
            return in_full[0] * _smoke_run_share(challenge, protocol), in_full[1]
        if not alike:
            return None
        if len(alike) < FEW:
            return 0.5 * min(alike), 2 * max(alike)
        tenths = statistics.quantiles(alike, n=20, method="inclusive")
        return tenths[4], tenths[17]

    return spans
