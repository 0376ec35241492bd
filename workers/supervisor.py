"""Supervises the child processes that evaluate and train: one loop hears what either says."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Any, TypeVar

from django.conf import settings

from evaluation.errors import EngineCrashError, Fault, WireError
from evaluation.wire.evaluating import EVENTS, Done, Event, Job, Ready
from evaluation.wire.leakage import LeakageJob
from evaluation.wire.messages import Ending, Failed, Message, dump
from portal.outages.causes import Failure, failure_of
from portal.runs.models import Claimable
from workers.children import Child
from workers.leases import Lease

logger = logging.getLogger(__name__)

MODULE = "evaluation.server"
# Errors that lie in what was asked; after any other the child is not trusted any more.
HARMLESS_ERRORS = frozenset({"checkpoint", "data", "unknown_name"})

shutting_down = threading.Event()

M = TypeVar("M", bound=Message)
Record = Callable[[M], dict[str, Any] | None]
"""What a message changes in the database; returns the progress to show, if any."""


def hear_out(
    child: Child, parse: Callable[[bytes], M], lease: Lease, record: Record[M], *, stall_seconds: float
) -> Ending | None:
    """Record what a child says up to its ending, and return that; None when the worker is told to stop.

    The lease is renewed at each message and at every quiet second. The child is left as it is: to end it is
    the caller's.

    Raises EngineCrashError when the child dies or says nothing for so long, WireError when it says what is
    no message, and what `record` and the lease raise.
    """
    heard = time.monotonic()
    while not shutting_down.is_set():
        line = child.next_line()
        if line is None:
            if time.monotonic() - heard > stall_seconds:
                raise EngineCrashError(f"The {child.name} process was silent for {stall_seconds:g} seconds.")
            lease.renew()
            continue
        heard = time.monotonic()
        try:
            message = parse(line)
        except WireError as error:
            logger.error("the %s process said %.500r", child.name, line)
            raise WireError(f"The {child.name} process said what this worker cannot read: {error}") from error
        if isinstance(message, Ending):
            return message
        lease.renew(record(message))
    return None


def broken(work: Claimable, error: Exception) -> Failure:
    """What broke claimed work, for its row. In the log outages are no errors: those have a record."""
    failure = failure_of(error)
    if failure.fault is Fault.OUTAGE:
        logger.info("%s waits for %s: %s", work, failure.cause.words, failure.message)
    else:
        logger.error("%s broke", work, exc_info=error)
    return failure


class EvaluationProcess:
    """`python -m evaluation.server`, started at the first job and restarted after it ended.

    It stays warm between jobs, so a base model is loaded once for many adapters; on other GPUs it is another.
    """

    def __init__(self) -> None:
        self._child: Child | None = None
        self._devices = ""
        self._loaded: int | None = None

    @property
    def loaded_base_model(self) -> int | None:
        """The base model that the process keeps for the next job; it may end while it is idle."""
        return self._loaded if self._child is not None and self._child.is_running else None

    def is_ready(self, base_model: int, devices: str) -> bool:
        """Whether it has the base model in its place, on just these GPUs."""
        return self.loaded_base_model == base_model and self._devices == devices

    def run(
        self, job: Job | LeakageJob, lease: Lease, record: Record[Event], *, base_model: int, devices: str
    ) -> Ending | None:
        """Let the process do a job on these GPUs, as `hear_out` tells it.

        However this ends, nothing works on the job any more: a process within it is killed.
        """

        def parse(line: bytes) -> Event:
            event = EVENTS.parse(line)
            if not isinstance(event, Ready) and event.job not in (None, job.job):
                raise WireError(f"an event of job {event.job} while {job.job} is running")
            return event

        ending = None
        try:
            child = self._ready_child(devices)
            child.send(dump(job))
            ending = hear_out(child, parse, lease, record, stall_seconds=settings.EVALUATION_STALL_SECONDS)
        finally:
            if not _leaves_it_sound(ending):
                self.stop()
        if isinstance(ending, Done):
            self._loaded = base_model
        return ending

    def stop(self) -> None:
        """Kill the child and everything it started. Idempotent."""
        self._loaded = None
        child, self._child = self._child, None
        if child is not None:
            child.stop()

    def _ready_child(self, devices: str) -> Child:
        if self._child is not None and not (self._child.is_running and self._devices == devices):
            self.stop()
        if self._child is None:
            self._child, self._devices = Child("evaluation", MODULE, devices=devices), devices
        return self._child


def _leaves_it_sound(ending: Ending | None) -> bool:
    """Whether a process can take the next job; a CUDA error, for one, spoils it for all."""
    return isinstance(ending, Done) or (isinstance(ending, Failed) and ending.code in HARMLESS_ERRORS)
