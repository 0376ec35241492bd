"""What operators told this worker: looked at every few seconds from a thread, asked while work goes on."""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Collection
from datetime import UTC, datetime

from django.db import transaction
from django.utils import timezone

from evaluation.hub import cache
from portal.control import gate, versions
from portal.control.models import Eviction, Hold, Queue
from portal.outages.waiting import LostError
from portal.runs.presence import CachedModel

logger = logging.getLogger(__name__)

MACHINE = socket.gethostname()
WORKER_NAME = f"{MACHINE}:{os.getpid()}"

_GB = 1024**3


class PausedError(LostError):
    """An operator wants what is in hand back in the queue."""


class _Known:
    """The queues of which this worker gives back what it has, as the last look found."""

    paused: frozenset[Queue] = frozenset()


def look(queues: Collection[Queue]) -> dict[Queue, str]:
    """Read the orders; returns why this worker begins nothing, for each queue where that is so."""
    refusals = gate.refusals(WORKER_NAME, queues)
    if not versions.misfit():
        paused = Hold.objects.filter(gate.of(WORKER_NAME, *queues), how=Hold.How.PAUSE)
        _Known.paused = frozenset(queue for hold in paused for queue in queues if gate.concerns(hold, queue))
    return refusals


def raise_if_paused(queue: Queue) -> None:
    """Raises PausedError."""
    if queue in _Known.paused:
        raise PausedError(f"{queue.label} are paused here")


def cached_models() -> tuple[CachedModel, ...]:
    """The base models in the hub's cache on this disk, the largest first; none where it cannot be read."""
    try:
        found = sorted(cache.models(), key=lambda model: -model.size)
    except (OSError, ValueError) as error:  # the library's, where a file lies in the cache's place
        logger.warning("the hub's cache cannot be read: %s", error)
        return ()
    return tuple(
        CachedModel(model.repo, model.size, datetime.fromtimestamp(model.used, UTC).isoformat())
        for model in found
    )


def evict() -> bool:
    """Remove the base models that operators asked this machine to; returns whether any were asked for."""
    asked = list(Eviction.objects.filter(machine=MACHINE, done_at=None).values_list("pk", flat=True))
    for pk in asked:
        with transaction.atomic():
            # Another worker of this machine that is at it says what came of it.
            waiting = Eviction.objects.select_for_update(skip_locked=True).filter(pk=pk, done_at=None)
            for one in waiting:
                outcome = _evicted(one.repo)
                Eviction.objects.filter(pk=one.pk).update(done_at=timezone.now(), outcome=outcome[:200])
    return bool(asked)


def _evicted(repo: str) -> str:
    try:
        removed = cache.remove(repo)
    except OSError as error:
        logger.warning("%s cannot be removed from the hub's cache: %s", repo, error)
        return f"not removed: {error.strerror or error}"
    if removed is not None:
        return f"removed, {removed.size / _GB:.1f} GB"
    return "in use, and so not removed" if cache.holds(repo) else "was not there"
