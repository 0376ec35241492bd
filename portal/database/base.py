"""Django's backend for PostgreSQL, with an end to waiting for a server that says nothing.

A frozen server keeps its sockets open, so neither its own time-outs nor the kernel's end the wait.
"""

from __future__ import annotations

import time
from collections.abc import Generator
from typing import Any

import psycopg
from django.db.backends.postgresql import base
from psycopg import IsolationLevel

from portal.database import patience
from portal.silence import Silence

# For what no lock can hold up: to connect, and to see whether a connection still works.
CONNECT_SECONDS = 5.0

_silence = Silence("the database")


class NoAnswerError(psycopg.OperationalError):
    """The server has said nothing for too long."""


class Connection(psycopg.Connection[Any]):
    """psycopg's, closed when the patience of the request ends: what was under way can have any outcome."""

    was_silent = False

    def wait(self, gen: Any, interval: float = 0.1, timeout: float | None = None) -> Any:
        most = patience.seconds()
        if most is None:
            return super().wait(gen, interval, timeout)
        try:
            return super().wait(_bounded(gen, most), interval, timeout)
        except NoAnswerError:
            self.was_silent = True
            self.close()
            raise


def _bounded(gen: Generator[Any, Any, Any], most: float) -> Generator[Any, Any, Any]:
    """Like `gen`, which psycopg resumes when the socket is ready, and ten times a second with 0 while not."""
    heard = time.monotonic()
    try:
        wanted = next(gen)
        while True:
            ready = yield wanted
            if ready:
                heard = time.monotonic()
            elif time.monotonic() - heard > most:
                raise NoAnswerError(f"The database gave no answer for {most:g} seconds.")
            wanted = gen.send(ready)
    except StopIteration as end:
        return end.value


class DatabaseWrapper(base.DatabaseWrapper):
    """Where a request finds the server silent, others leave it alone for a moment and fail at once."""

    def get_new_connection(self, conn_params: dict[str, Any]) -> Connection:
        self.isolation_level = IsolationLevel.READ_COMMITTED
        if patience.seconds() is None:
            return Connection.connect(**conn_params)
        if _silence.refuses():
            raise NoAnswerError("The database gave no answer a moment ago.")
        try:
            made = Connection.connect(**{"connect_timeout": int(CONNECT_SECONDS), **conn_params})
        except psycopg.errors.ConnectionTimeout:
            _silence.began()
            raise
        _silence.ended()
        return made

    def is_usable(self) -> bool:
        """Asked at the beginning of each request, and where one met an error."""
        if patience.seconds() is None:
            return super().is_usable()
        with patience.of(CONNECT_SECONDS):
            is_usable = super().is_usable()
        if getattr(self.connection, "was_silent", False):
            _silence.began()
        return is_usable
