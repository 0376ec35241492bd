"""Says from a thread that this worker is there and what it is, and follows what operators tell it."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Collection
from typing import Any

from django.db import DatabaseError, close_old_connections, connection
from django.utils import timezone

from evaluation import gpus
from evaluation.engines.hardware import Hardware
from portal import queues as broker
from portal.control import orders as told
from portal.control import versions
from portal.control.models import Queue
from portal.runs import presence
from portal.runs.presence import Said
from portal.site_checks import of_machine, of_services
from workers import claiming, orders

logger = logging.getLogger(__name__)

# How late an order may reach a worker.
LOOK_SECONDS = 3.0
# Reading the hub's cache means a look at each of its files.
CACHE_SECONDS = 300.0

WORK = {broker.EVALUATE: Queue.EVALUATE, broker.TRAIN: Queue.TRAIN, broker.MAINTENANCE: Queue.FETCH}
"""What is claimed by who listens to a queue of the broker."""

_GB = 1024**3

_over = threading.Event()


def start(consumer: Any, listens_to: Collection[str]) -> threading.Thread:
    """`consumer` is Celery's, of this worker, which listens to these queues of the broker."""
    heartbeat = Heartbeat(consumer, tuple(name for name in WORK if name in listens_to))
    thread = threading.Thread(target=heartbeat.run, name="heartbeat", daemon=True)
    thread.start()
    return thread


def stop() -> None:
    """Without waiting: what is told of the worker is that it is gone."""
    _over.set()


class Heartbeat:
    def __init__(self, consumer: Any, listens_to: tuple[str, ...]) -> None:
        self._consumer = consumer
        self._listens_to = listens_to
        self._started_at = timezone.now()
        self._hardware = hardware()
        self._waits = ""
        self._cached: tuple[presence.CachedModel, ...] = ()
        self._beat_at = self._cached_at = float("-inf")

    def run(self) -> None:
        try:
            # Before this one was there, so they were a former process' with the same number.
            self._guarded(lambda: told.ended(orders.WORKER_NAME))
            self._guarded(self._look)
            self._guarded(tell_of_this_machine)
            while not _over.is_set():
                self._guarded(self._look)
                _over.wait(LOOK_SECONDS)
            self._guarded(lambda: presence.leave(orders.WORKER_NAME))
        finally:
            connection.close()

    def _guarded(self, say: Any) -> None:
        try:
            say()
        except DatabaseError:
            close_old_connections()
            logger.warning("the database is away; nobody is told now that this worker is there")
        except OSError:
            logger.exception("this worker looks again in a moment")

    def _look(self) -> None:
        now = time.monotonic()
        refusals = orders.look([WORK[name] for name in self._listens_to])
        self._listen(refusals)
        waits = self._waits_of(refusals)
        has_changed = waits != self._waits
        if has_changed:
            logger.warning("this worker %s", f"begins nothing: {waits}" if waits else "goes on")
            if not waits:
                told.wake_all()
        self._waits = waits
        if orders.evict() or now - self._cached_at >= CACHE_SECONDS:
            self._cached, self._cached_at, has_changed = orders.cached_models(), now, True
        if has_changed or now - self._beat_at >= presence.BEAT_SECONDS:
            self._beat_at = now
            self._beat()

    def _waits_of(self, refusals: dict[Queue, str]) -> str:
        """Why it begins no evaluation; of a worker that runs none, why it begins nothing at all."""
        if broker.EVALUATE in self._listens_to:
            return refusals.get(Queue.EVALUATE, "")
        return next(iter(refusals.values()), "") if len(refusals) == len(self._listens_to) else ""

    def _beat(self) -> None:
        evaluates = broker.EVALUATE in self._listens_to
        said = Said(
            started_at=self._started_at,
            queues=self._listens_to,
            release=versions.release(),
            hardware=self._hardware,
            waits=self._waits[:600],
            cached=self._cached,
            gpus=tuple(gpus.conditions()),
            at_once=len(claiming.here().slots.all) if evaluates else 1,
        )
        presence.beat(orders.WORKER_NAME, claiming.here().left_to_others() if evaluates else (), said)

    def _listen(self, refusals: dict[Queue, str]) -> None:
        """Leave messages for work that it must not begin to workers that may; what a worker does besides goes
        on, unless its code and the database are not made for each other.
        """
        is_misfit = bool(versions.misfit())
        for name in self._listens_to:
            is_wanted = not is_misfit and (name == broker.MAINTENANCE or WORK[name] not in refusals)
            if is_wanted == self._consumer.task_consumer.consuming_from(name):
                continue
            change = self._consumer.add_task_queue if is_wanted else self._consumer.cancel_task_queue
            self._consumer.call_soon(change, name)


def tell_of_this_machine() -> None:
    """In the log, what `manage.py check --tag site` finds here that would be noticed late: a GPU that is not
    seen means days on the processor, a clock that is wrong means lost leases."""
    for found in (of_services.key, of_machine.gpu, of_machine.clock, of_services.storage, of_services.disk):
        for one in found():
            if one.level >= logging.WARNING:
                logger.log(one.level, "%s %s", one.msg, one.hint)


def hardware() -> str:
    """What this worker computes on, in words."""
    names, here = gpus.names(), Hardware.here()
    cores = f"{os.cpu_count()} cores, {here.memory_bytes / _GB:.0f} GB"
    each = [f"{names.count(name)} × {name}" for name in dict.fromkeys(names)]
    return ", ".join([*each, cores])[:200]
