"""Keeps a worker's claim alive while it works."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.conf import settings
from django.db import OperationalError, close_old_connections, connection

from portal.runs import claims
from portal.runs.models import Claimable

logger = logging.getLogger(__name__)

PROGRESS_SECONDS = 1.0


class Lease:
    """Renews the lease of claimed work, and bears a database that is away for less than the lease."""

    def __init__(self, work: Claimable) -> None:
        self._work = work
        self._renewed = time.monotonic()

    def renew(self, progress: dict[str, Any] | None = None) -> None:
        """Raises ClaimLostError, or OperationalError once the lease must have run out."""
        now = time.monotonic()
        if progress is None and now - self._renewed < PROGRESS_SECONDS:
            return
        try:
            claims.renew(self._work, progress=progress)
        except OperationalError:
            close_old_connections()
            if now - self._renewed > settings.EVALUATION_LEASE_SECONDS:
                raise
            logger.warning("the database is away; %s goes on while its lease lasts", self._work)
        else:
            self._renewed = now

    @contextmanager
    def kept(self) -> Iterator[None]:
        """Renew from a thread meanwhile: fetching a base model may take longer than a lease."""
        done = threading.Event()

        def keep() -> None:
            try:
                while not done.wait(settings.EVALUATION_LEASE_SECONDS / 4):
                    self._keep()
            except claims.ClaimLostError:
                logger.warning("%s was taken over while it was prepared", self._work)
            finally:
                connection.close()

        thread = threading.Thread(target=keep, name="lease")
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join()

    def _keep(self) -> None:
        """Renew, also where the database was away for longer than the lease: nobody may have taken the work.

        Raises ClaimLostError.
        """
        try:
            claims.renew(self._work)
        except OperationalError:
            close_old_connections()
            logger.warning("the database is away; %s goes on being prepared", self._work)
        else:
            self._renewed = time.monotonic()
