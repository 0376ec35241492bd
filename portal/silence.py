"""Remembers for a moment that a service gives no answer, so that not everybody waits for it in turn.

A service that is dead refuses at once. One that hangs costs the whole time-out, at each access.
"""

from __future__ import annotations

import logging
import threading
import time

logger = logging.getLogger(__name__)

LEFT_ALONE_SECONDS = 5.0


class Silence:
    """Of one service, for all threads of this process."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._lock = threading.Lock()
        self._until: float | None = None
        self._trying: int | None = None

    def refuses(self) -> bool:
        """Whether to leave the service alone for now. After each pause one thread may try."""
        with self._lock:
            if self._until is None or self._trying == threading.get_ident():
                return False
            if time.monotonic() < self._until:
                return True
            self._trying = threading.get_ident()
            self._until = time.monotonic() + LEFT_ALONE_SECONDS
            return False

    def began(self) -> None:
        """It was waited for in vain."""
        with self._lock:
            is_new = self._until is None
            self._trying, self._until = None, time.monotonic() + LEFT_ALONE_SECONDS
        if is_new:
            logger.warning("%s gives no answer; it is asked again every %d s", self._name, LEFT_ALONE_SECONDS)

    def ended(self) -> None:
        """It answered."""
        if self._until is None:
            return
        with self._lock:
            self._trying = self._until = None
        logger.warning("%s answers again", self._name)
