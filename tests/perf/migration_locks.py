"""How long each of the later migrations keeps readers waiting, on a board of BOARD_ENTRIES evaluations.

The database is filled, taken back to before the migrations, and migrated one by one, while somebody reads the
large tables all the time. What cannot be taken back is left out.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator

from django.core.management import call_command
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from django.db.migrations.recorder import MigrationRecorder

from tests.perf.many_entries import fill
from tests.perf.measure import Comparison
from tests.portal.test_migrations import LARGE, earlier

ENTRIES = int(os.environ.get("BOARD_ENTRIES", "100000"))
SINCE = os.environ.get("MIGRATIONS_SINCE", "")
"""As "runs.0012_wrong_answers submissions.0013_all_rules"; by default those of the kept earlier site."""
LIMIT = 1.0


def compare() -> Iterator[Comparison]:
    from django.test.runner import DiscoverRunner

    runner = DiscoverRunner(verbosity=0, interactive=False)
    databases = runner.setup_databases()
    try:
        fill("finance", ENTRIES)
        yield from measured()
    finally:
        runner.teardown_databases(databases)


def measured() -> Iterator[Comparison]:
    """On the database that is there."""
    for name in SINCE.split() or _last_of(earlier()):
        call_command("migrate", *name.split("."), verbosity=0)
    yield _watched("nothing for five seconds", lambda: time.sleep(5))
    for app, name in _missing():
        yield _watched(f"{app}.{name}", lambda to=(app, name): call_command("migrate", *to, verbosity=0))  # type: ignore[misc]


def _watched(what: str, call: Callable[[], object]) -> Comparison:
    reader = _Reader()
    reader.start()
    began = time.perf_counter()
    call()
    note = f"longest wait of a reader; {time.perf_counter() - began:.2f} s in all"
    return Comparison(what, reader.ended(), "the aim", LIMIT, note)


def _last_of(known: set[str]) -> list[str]:
    """The last migration of each of the project's apps among them."""
    last = {name.partition(".")[0]: name for name in sorted(known)}
    own = {label.partition(".")[0] for label in LARGE}
    return [name for app, name in last.items() if app in own]


def _missing() -> list[tuple[str, str]]:
    executor = MigrationExecutor(connection)
    plan = executor.migration_plan(executor.loader.graph.leaf_nodes())
    done = MigrationRecorder(connection).applied_migrations()
    return [(m.app_label, m.name) for m, _ in plan if (m.app_label, m.name) not in done]


class _Reader(threading.Thread):
    """Reads a row of every large table, again and again, on a connection of its own."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self._end, self._longest = threading.Event(), 0.0

    def run(self) -> None:
        own = connection.copy()
        try:
            with own.cursor() as cursor:
                while not self._end.is_set():
                    for label in LARGE:
                        began = time.perf_counter()
                        cursor.execute(f"SELECT 1 FROM {label.replace('.', '_')} LIMIT 1")  # noqa: S608
                        self._longest = max(self._longest, time.perf_counter() - began)
        finally:
            own.close()

    def ended(self) -> float:
        """The longest that it waited for an answer, in seconds."""
        self._end.set()
        self.join()
        return self._longest
