"""Keeps a worker's claim alive while it works."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from typing import Any, TypeVar

from django.conf import settings
from django.db import close_old_connections, connection
from django.db.utils import InterfaceError, OperationalError

from portal.control.models import Queue
from portal.outages.waiting import LostError
from portal.runs import claims
from portal.runs.models import BaselineRun, Claimable
from workers.orders import raise_if_paused

logger = logging.getLogger(__name__)

PROGRESS_SECONDS = 1.0
# A claim that is lost while files are fetched is noticed after so long, at most.
LOOK_SECONDS = 2.0
_DATABASE_AWAY = (OperationalError, InterfaceError)
_LONGEST_PAUSE = 15.0

T = TypeVar("T")
Check = Callable[[], None]
"""Raises what says that the work was lost, if it was."""


class Lease:
    """Renews the lease of claimed work, and bears a database that is away: nobody can take the work then.

    Each renewal raises PausedError where an operator wants the work back. `also` writes what else there is to
    write under the claim, each time.
    """

    def __init__(self, work: Claimable, also: Callable[[], None] | None = None) -> None:
        self._work = work
        self._queue = Queue.TRAIN if isinstance(work, BaselineRun) else Queue.EVALUATE
        self._also = also
        self._renewed = time.monotonic()
        self._is_away = False

    def renew(self, progress: dict[str, Any] | None = None) -> None:
        """Raises ClaimLostError and PausedError."""
        raise_if_paused(self._queue)
        now = time.monotonic()
        if progress is None and now - self._renewed < PROGRESS_SECONDS:
            return
        self._renewed = now
        try:
            claims.renew(self._work, progress=progress)
            if self._also:
                self._also()
        except _DATABASE_AWAY:
            close_old_connections()
            if not self._is_away:
                logger.warning("the database is away; %s goes on meanwhile", self._work)
            self._is_away = True
        else:
            self._is_away = False

    @contextmanager
    def kept(self) -> Iterator[Check]:
        """Renew from a thread meanwhile: fetching a base model may take longer than a lease."""

        def renew() -> None:
            raise_if_paused(self._queue)
            claims.renew(self._work)
            self._renewed = time.monotonic()

        with renewed(renew, str(self._work)) as check:
            yield check


@contextmanager
def renewed(renew: Callable[[], None], what: str) -> Iterator[Check]:
    """Call `renew` every few seconds within the block, from a thread; what it raises ends that.

    The block gets a function that raises the same, for it to call from wherever it works, other threads
    included.
    """
    done = threading.Event()
    losses: list[Exception] = []
    pause = min(LOOK_SECONDS, settings.EVALUATION_LEASE_SECONDS / 4)

    def keep() -> None:
        is_away = False
        try:
            while not losses and not done.wait(pause):
                try:
                    renew()
                    is_away = False
                except _DATABASE_AWAY:
                    close_old_connections()
                    if not is_away:
                        logger.warning("the database is away; %s goes on being prepared", what)
                    is_away = True
                except LostError as loss:
                    logger.warning("%s is left while it was prepared: %s", what, loss)
                    losses.append(loss)
        finally:
            connection.close()

    def check() -> None:
        if losses:
            raise losses[0]

    thread = threading.Thread(target=keep, name="lease")
    thread.start()
    try:
        yield check
    finally:
        done.set()
        thread.join()


def done_while(check: Check, work: Callable[[], T], *, once_left: Callable[[], None] | None = None) -> T:
    """What `work` returns, done by another thread; left alone there as soon as `check` raises.

    A hub that stalls in the middle of a file would hold the worker until its time-out. `once_left` is called
    when work that was left alone has come to its end.
    """
    pool = ThreadPoolExecutor(1, thread_name_prefix="fetch")
    future = pool.submit(work)
    try:
        while not wait([future], timeout=LOOK_SECONDS).done:
            check()
        return future.result()
    finally:
        if once_left and not future.done():
            future.add_done_callback(lambda _: once_left())
        pool.shutdown(wait=False)


def once_the_database_answers(write: Callable[[], T], *, stop: threading.Event) -> T:
    """Write; while the database is away, again until it is back, the patience ends or `stop` is set.

    Then raises what the last try did. Whose work it is, the write itself asks.
    """
    began, pause = time.monotonic(), 1.0
    while True:
        try:
            return write()
        except _DATABASE_AWAY:
            close_old_connections()
            if time.monotonic() - began > settings.OUTAGE_PATIENCE_SECONDS or stop.wait(pause):
                raise
            if pause == 1.0:
                logger.warning("the database is away; what is done is written when it is back")
            pause = min(2 * pause, _LONGEST_PAUSE)
