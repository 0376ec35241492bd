"""The log with many leaves: appending all that is due, proofs, and holding all of it against itself.

LOG_LEAVES sets how many. Half of them state evaluations, half publications. Rows are copied in the database,
triggers out of the way. Seconds are those of this process's CPU, without the database's.
"""

from __future__ import annotations

import os
import resource
import time
from collections.abc import Callable, Iterator
from typing import Any

from django.db import connection
from django.test import override_settings

from evaluation.statements.merkle import is_consistent, is_included
from portal.transparency import checking, reading
from portal.transparency.models import Head, Leaf
from portal.transparency.writing import write_due
from tests.perf.measure import Comparison
from tests.portal import factories

LEAVES = int(os.environ.get("LOG_LEAVES", "100000"))
PROOFS = 200
LIMIT, LIMIT_OF_ALL = 0.05, 600.0
_COPIED = (
    ("submissions_submission", "id", ""),
    ("submissions_statusevent", "pgh_id", "pgh_obj_id"),
    ("runs_evaluation", "id", "submission_id"),
    ("runs_score", "id", "evaluation_id"),
)
"""Tables with their keys, and the column that names the row above."""


def compare() -> Iterator[Comparison]:
    from django.test.runner import DiscoverRunner

    runner = DiscoverRunner(verbosity=0, interactive=False)
    databases: Any = runner.setup_databases()
    try:
        with override_settings(STAFF_SECOND_FACTOR=False):
            yield from _measured()
    finally:
        runner.teardown_databases(databases)


def _measured() -> Iterator[Comparison]:
    factories.published(factories.user())
    _copy(LEAVES // 2 - 1)
    seconds, peak = _spent(write_due)
    yield Comparison(f"appending {LEAVES:,}", seconds, "limit", LIMIT_OF_ALL, peak)
    size = Leaf.objects.count()
    assert size == LEAVES, size
    factories.published(factories.user("late"), method="late")
    seconds, peak = _spent(write_due)
    yield Comparison("appending 2 more", seconds, "limit", 1.0, peak)
    head = reading.current_head()
    assert head
    places = [size * number // PROOFS for number in range(PROOFS)]
    seconds, peak = _spent(lambda: _include(places, bytes(head.root)))
    yield Comparison("an inclusion proof, made and checked", seconds / PROOFS, "limit", LIMIT, peak)
    seconds, peak = _spent(lambda: [reading.consistency(place + 1) for place in places])
    yield Comparison("a consistency proof", seconds / PROOFS, "limit", LIMIT, peak)
    _, proof = reading.consistency(size, head.size)
    old = Head.objects.get(size=size)
    assert is_consistent(size, head.size, proof, bytes(old.root), bytes(head.root))
    seconds, peak = _spent(_nothing_wrong)
    yield Comparison(f"check_log of {head.size:,}", seconds, "limit", LIMIT_OF_ALL, peak)


def _include(places: list[int], root: bytes) -> None:
    for place in places:
        size, proof = reading.inclusion(place)
        assert is_included(bytes(Leaf.objects.get(index=place).leaf_hash), place, size, proof, root)


def _nothing_wrong() -> None:
    assert checking.problems() == []


def _spent(work: Callable[[], object]) -> tuple[float, str]:
    """CPU seconds, and in words the time by the clock and what the process's peak of memory grew by."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    began, start = time.process_time(), time.perf_counter()
    work()
    seconds, wall = time.process_time() - began, time.perf_counter() - start
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    return seconds, f"{wall:.1f} s by the clock, memory's peak grew by {grown:.0f} MiB"


def _copy(times: int) -> None:
    """So many more of the one entry that there is, with its steps, evaluation and scores."""
    with connection.cursor() as cursor:
        cursor.execute("SET session_replication_role = replica")
        for table, key, parent in _COPIED:
            columns = [one.name for one in connection.introspection.get_table_description(cursor, table)]
            cursor.execute(f"SELECT min({key}), max({key}) - min({key}) + 1 FROM {table}")  # noqa: S608 -- names
            _, span = cursor.fetchone()
            moved = {key: f"{key} + k * {span}", parent: f"{parent} + k"}
            values = ", ".join(moved.get(column, f'"{column}"') for column in columns)
            names = ", ".join(f'"{column}"' for column in columns)
            cursor.execute(
                f"INSERT INTO {table} ({names}) SELECT {values} FROM {table}, "  # noqa: S608 -- names
                f"generate_series(1, {times}) AS k"
            )
            cursor.execute(
                f"SELECT setval(pg_get_serial_sequence('{table}', '{key}'), max({key})) FROM {table}"  # noqa: S608
            )
            cursor.execute(f"ANALYZE {table}")
        cursor.execute("SET session_replication_role = origin")
