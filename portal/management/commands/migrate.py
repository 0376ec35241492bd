"""Django's `migrate`, by one process at a time: who comes second waits, and finds nothing left to apply."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.core.management.commands import migrate
from django.db import connections

from portal.control import versions

LOCK = 0x666C6F77
"""Of the database, for whoever migrates it: the session's, so that it ends with the process."""
_TRY_SECONDS = 0.5


class Command(migrate.Command):
    def handle(self, *args: Any, **options: Any) -> None:
        if options["plan"] or options["check_unapplied"]:
            super().handle(*args, **options)
            return
        with self._alone(options["database"], options["verbosity"]):
            super().handle(*args, **options)
            versions.record()

    @contextmanager
    def _alone(self, database: str, verbosity: int) -> Iterator[None]:
        """Tried again and again, not waited for in the server: a statement that waits there would in its turn
        hold up an index that is built concurrently.
        """
        holder = connections[database].copy()
        try:
            is_told = False
            with holder.cursor() as cursor:
                while True:
                    cursor.execute("SELECT pg_try_advisory_lock(%s)", [LOCK])
                    if cursor.fetchone() == (True,):
                        break
                    if not is_told and verbosity:
                        self.stdout.write("Another process applies migrations; waiting for it.")
                    is_told = True
                    time.sleep(_TRY_SECONDS)
            yield
        finally:
            holder.close()
