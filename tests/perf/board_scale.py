"""A board of BOARD_ENTRIES entries (100,000), filled by COPY: building it, its pages, files and days.

Processor seconds of this process stand beside those on the clock: a machine with other work has both.
"""

from __future__ import annotations

import os
import resource
import time
from collections.abc import Callable, Iterator
from dataclasses import replace

from django.core.cache import cache
from django.db import connection
from django.test import Client
from django.utils import timezone

from evaluation import rules
from leaderboard.reading import collector, snapshots
from leaderboard.reading.queries import public_at, read
from leaderboard.standing.ranking import standings
from portal.runs import retention
from portal.runs.models import Score
from portal.submissions.models import Submission
from tests.perf.many_entries import fill
from tests.perf.measure import Comparison, median_seconds

ENTRIES = int(os.environ.get("BOARD_ENTRIES", "100000"))
ANSWERED = int(os.environ.get("BOARD_ANSWERED", "2562"))
"""Of finance, with 3,904 items each: ten million single answers."""
CHALLENGE = os.environ.get("BOARD_CHALLENGE", "finance")
BOARD = f"/leaderboard/{CHALLENGE}/"
TABLES = ("submissions_submission", "submissions_resource", "runs_evaluation", "runs_score")


def compare() -> Iterator[Comparison]:
    from django.test.runner import DiscoverRunner
    from django.test.utils import override_settings

    runner = DiscoverRunner(verbosity=0, interactive=False)
    databases = runner.setup_databases()
    try:
        fill(CHALLENGE, ENTRIES, answered=ANSWERED)
        with override_settings(ALLOWED_HOSTS=["*"]):
            yield from measured()
        yield _dropped()
    finally:
        cache.clear()
        runner.teardown_databases(databases)


def measured() -> Iterator[Comparison]:
    """Of the board that the database has."""
    yield _sizes()
    yield from _build()
    yield from _pages()
    yield from _days()


def _build() -> Iterator[Comparison]:
    yield from _parts()
    last = Submission.objects.filter(challenge=CHALLENGE).latest("pk")
    _become(last, Submission.Status.DISQUALIFIED)
    snapshots._known.clear()
    cache.clear()
    yield _timed("the first snapshot, whole", lambda: snapshots.checked(CHALLENGE), aim=60.0)
    held = dict(snapshots._known)
    _become(last, Submission.Status.PUBLISHED)
    yield _timed("after one publication", lambda: snapshots.checked(CHALLENGE), aim=2.0)
    snapshots._known.update(held)
    yield _timed("in another process, which had the board before", lambda: snapshots.checked(CHALLENGE))
    snapshots._known.clear()
    yield _timed("in another process, which had none", lambda: snapshots.checked(CHALLENGE))
    assert snapshots.checked(CHALLENGE).standings == snapshots.afresh(CHALLENGE).standings


def _become(submission: Submission, status: Submission.Status) -> None:
    """Past the triggers of the database."""
    with connection.cursor() as cursor:
        cursor.execute("SET session_replication_role = replica")
        Submission.objects.filter(pk=submission.pk).update(status=status, status_changed_at=timezone.now())
        cursor.execute("SET session_replication_role = origin")


def _parts() -> Iterator[Comparison]:
    benchmarks = rules.of(CHALLENGE).benchmarks
    with collector.held_back():
        yield _timed("reading the entries", lambda: read(public_at(CHALLENGE), with_answers=True))
        found = read(public_at(CHALLENGE), with_answers=True)
        yield _timed("ranking them", lambda: standings(found.entries, benchmarks, found.answers))


def _pages() -> Iterator[Comparison]:
    client = Client(headers={"accept-encoding": "gzip"})
    addresses = {
        "the board": BOARD,
        "its last page": f"{BOARD}?page={ENTRIES // 50}",
        "filtered and sorted": f"{BOARD}?max_size=3&sort=-communication",
        "searched": f"{BOARD}?q=fedprox",
        "across domains": "/leaderboard/",
        "one page of the API": f"/api/v1/leaderboards/{CHALLENGE}/?page_size=50",
        "CSV": f"/leaderboard/{CHALLENGE}.csv",
        "JSON": f"/leaderboard/{CHALLENGE}.json",
        "Parquet": f"/leaderboard/{CHALLENGE}.parquet",
    }
    for name, address in addresses.items():
        yield _timed(f"GET {name}, first", lambda address=address: _get(client, address))  # type: ignore[misc]
        seconds = median_seconds(lambda address=address: _get(client, address), 3)  # type: ignore[misc]
        yield Comparison(f"GET {name}, again", seconds, "the aim", 0.030)


def _days() -> Iterator[Comparison]:
    client = Client()
    middle = public_at(CHALLENGE).order_by("pk")[ENTRIES // 2].published_at
    assert middle is not None
    day = f"{BOARD}?as_of={middle:%Y-%m-%d}"
    yield _timed(f"GET the board of a day with {ENTRIES // 2:,} entries", lambda: _get(client, day))
    yield _timed("the same again", lambda: _get(client, day))


def _sizes() -> Comparison:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_database_size(current_database())")
        sizes = [f"{cursor.fetchone()[0] / 1e6:.0f} MB in all"]
        for table in TABLES:
            cursor.execute("SELECT pg_total_relation_size(%s)", [table])
            sizes.append(f"{table} {cursor.fetchone()[0] / 1e6:.0f} MB")
    counted = _timed("counting the entries", lambda: public_at(CHALLENGE).count())
    return replace(counted, note="; ".join(sizes))


def _dropped() -> Comparison:
    """As if none of them had been published: the statement is by hand."""
    scores = Score.objects.filter(evaluation__submission__challenge=CHALLENGE).exclude(items="")
    answers = sum(scores.values_list("n", flat=True))
    return _timed(f"dropping {answers:,} single answers", lambda: list(retention.drop(scores)))


def _get(client: Client, address: str) -> None:
    answer = client.get(address)
    assert answer.status_code == 200, (address, answer.status_code)
    answer.getvalue()
    answer.close()


def _timed(what: str, call: Callable[[], object], aim: float | None = None) -> Comparison:
    clock, processor = time.perf_counter(), time.process_time()
    call()
    used, seconds = time.process_time() - processor, time.perf_counter() - clock
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    note = f"{used:.2f} s of the processor; {memory:.1f} GB at most so far"
    return Comparison(what, seconds, "the aim" if aim else "itself", aim or seconds, note)
