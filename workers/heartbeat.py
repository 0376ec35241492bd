"""Says from a thread, as long as this worker takes evaluations, that it is there."""

from __future__ import annotations

import logging
import threading

from django.db import DatabaseError, close_old_connections, connection

from evaluation import gpus
from portal.runs import presence
from workers import evaluate

logger = logging.getLogger(__name__)

_over = threading.Event()


def start() -> threading.Thread:
    thread = threading.Thread(target=_beat, name="heartbeat", daemon=True)
    thread.start()
    return thread


def stop() -> None:
    """Without waiting: what is told of the worker is that it is gone."""
    _over.set()


def _beat() -> None:
    try:
        while not _over.is_set():
            _say(there=True)
            _over.wait(presence.BEAT_SECONDS)
        _say(there=False)
    finally:
        connection.close()


def _say(*, there: bool) -> None:
    try:
        if there:
            presence.beat(evaluate.WORKER_NAME, evaluate.left_to_others(), gpus.conditions())
        else:
            presence.leave(evaluate.WORKER_NAME)
    except DatabaseError:
        close_old_connections()
        logger.warning("the database is away; nobody is told now that this worker is there")
