"""Runs claimed baseline runs: a child process trains, this one records its rounds and submits the result."""

from __future__ import annotations

import json
import logging
import shutil
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from django.conf import settings

from evaluation.errors import EngineCrashError, Fault
from evaluation.federated.config import FederatedConfig
from evaluation.gpu_turns import Turn
from evaluation.log_lines import about
from evaluation.wire.messages import Failed
from evaluation.wire.training import EVENTS, Done, Event, Ready, RoundEnded
from portal.baselines import queue, results
from portal.baselines.services import RunRefused
from portal.intake.services import InvalidSubmission
from portal.outages.causes import Failure
from portal.runs import claims
from portal.runs.models import BaselineRun
from workers import data_sets, turns
from workers.base_models import in_use, model_folder
from workers.children import Child
from workers.leases import Check, Lease, once_the_database_answers
from workers.orders import WORKER_NAME, PausedError
from workers.supervisor import broken, hear_out, shutting_down

logger = logging.getLogger(__name__)

MODULE = "evaluation.federated"
FURTHER = "--further"
# Somebody waits for an evaluation; a training run takes its hours anyway.
NICENESS = 5
# For Ray to end its processes and the state to be written; a worker has 20 seconds to stop.
STOP_SECONDS = 12.0
# After its last word a child ends by itself, which on a busy machine takes Ray a while and harms nobody.
FAREWELL_SECONDS = 120.0

_FAREWELL_TICK = 0.1
# Celery may run tasks in threads; a worker trains one run at a time.
_busy = threading.Lock()


class TrainingProcess:
    """The child that has trained, kept for a further run like its last one: with all libraries loaded.

    On a machine with GPUs none is kept, as its model would hold their memory.
    """

    def __init__(self) -> None:
        self._kept: Child | None = None
        self._kind: Kind | None = None

    @property
    def is_kept(self) -> bool:
        return self._kept is not None

    def begin(self, run: BaselineRun, arguments: list[str]) -> Child:
        """The child that trains this run now; it is the caller's, to keep or to end."""
        child, self._kept = self._kept, None
        if child is not None:
            if self._kind == _kind(run) and child.is_running:
                child.send(json.dumps(arguments))
                return child
            _dismiss(child)
        child = Child("training", MODULE, arguments)
        child.lower_priority(NICENESS)
        return child

    def keep(self, child: Child, run: BaselineRun) -> None:
        """Let it wait for a further run."""
        self._kept, self._kind = child, _kind(run)

    def end(self) -> None:
        """End the child that is kept. Idempotent."""
        child, self._kept = self._kept, None
        if child is not None:
            _dismiss(child)


Kind = tuple[int, int]
"""What runs share that one process can train: the base model and the number of clients."""


def _kind(run: BaselineRun) -> Kind:
    return run.base_model_id, int(run.config["clients"])


def _dismiss(child: Child) -> None:
    """Tell a child that waits for a further run that none comes, and let it end by itself."""
    try:
        child.send("")
        _let_end(child)
    except EngineCrashError:
        logger.info("the training process that was kept ended by itself")
    finally:
        child.stop(grace=STOP_SECONDS)


def run_queued() -> None:
    """Claim and train runs until the queue is empty or the worker is told to stop."""
    if not _busy.acquire(blocking=False):
        return  # the thread that holds the lock drains the queue
    process = TrainingProcess()
    try:
        while not shutting_down.is_set():
            run = queue.claim(worker=WORKER_NAME)
            if run is not None:
                train(run, process)
            elif process.is_kept:
                process.end()  # which takes a while, in which another run may be queued
            else:
                return
    finally:
        process.end()
        _busy.release()


def train(run: BaselineRun, process: TrainingProcess) -> None:
    """Bring one claimed run to its end, whatever that is, and record it."""
    with about(**run.log_ids):
        logger.info("%s begins", run)
        _train(run, process)


def _train(run: BaselineRun, process: TrainingProcess) -> None:
    try:
        with in_use(run.base_model):
            _train_in(state_folder(run), run, process)
    except claims.ClaimLostError:
        logger.warning("%s was cancelled or taken over; this worker leaves it", run)
    except (turns.ShuttingDownError, PausedError):
        _written(lambda: queue.give_back(run))
    except (InvalidSubmission, RunRefused) as error:
        logger.exception("the result of %s was refused", run)
        _fail(run, Failure("invalid_submission", f"The result was refused: {error}", Fault.INPUT))
    except Exception as error:  # noqa: BLE001 -- the supervisor: whatever broke, the row says so
        _fail(run, broken(run, error))


def state_folder(run: BaselineRun) -> Path:
    """Where a run keeps what it needs to go on, and its result until it is submitted."""
    return Path(settings.TRAINING_STATE).absolute() / str(run.pk)


def clear_leftovers() -> None:
    """Delete the state of runs that are over."""
    # The folders first: one made after the runs were read must not be taken for a leftover.
    folders = [folder for folder in Path(settings.TRAINING_STATE).glob("*") if folder.name.isdecimal()]
    active = set(BaselineRun.objects.filter(status__in=BaselineRun.ACTIVE).values_list("pk", flat=True))
    for folder in folders:
        if int(folder.name) not in active:
            shutil.rmtree(folder, ignore_errors=True)


def _train_in(folder: Path, run: BaselineRun, process: TrainingProcess) -> None:
    lease = Lease(run)
    lease.renew({"phase": "preparing the base model"})
    output = folder / "output"
    if not results.is_complete(output):
        folder.mkdir(parents=True, exist_ok=True)
        with lease.kept() as check:
            arguments = _arguments(folder, output, run, lease, check)
        lease.renew({"phase": "starting"})
        if not _trained_by_turns(arguments, output, _Work(run, lease, process)):
            return
    lease.renew({"phase": "submitting the result"})
    with lease.kept():
        _written(lambda: results.submit_result(run, output))
    shutil.rmtree(folder, ignore_errors=True)


class _GivesWayError(Exception):
    """Another waits for the GPU at the end of a round."""


@dataclass(frozen=True)
class _Work:
    """A run under its lease, and the process that may train it."""

    run: BaselineRun
    lease: Lease
    process: TrainingProcess


def _trained_by_turns(arguments: list[str], output: Path, work: _Work) -> bool:
    """Train, giving the GPU to whoever waits for it after a round and going on behind that round later.

    Returns whether it came to its end with a result in `output`.
    """
    run = work.run
    needed = turns.training_bytes(run.base_model.parameters, str(run.config.get("precision", "")))
    while not results.is_complete(output):  # a child that was told to stop may have been through
        with turns.taken(turns.here(), str(run), lambda: needed, work.lease) as turn:
            try:
                return _trained(arguments, work, turn)
            except _GivesWayError:
                logger.info("%s lets another use the GPU; it goes on behind its last round", run)
    return True


def _trained(arguments: list[str], work: _Work, turn: Turn | None) -> bool:
    """Let a child train and record what it says. Returns whether it came to its end with a result.

    Raises _GivesWayError after a round of this child's own, when somebody waits for the GPU.
    """
    run, lease = work.run, work.lease
    began, resumed = time.monotonic(), run.rounds

    def record(event: Event) -> dict[str, Any]:
        nonlocal resumed
        number = 0
        match event:
            case Ready():
                ready = event
                _written(lambda: queue.record_setup(run, ready))
                resumed = event.resumed
            case RoundEnded():
                ended = event
                _written(lambda: queue.record_round(run, ended))
                number = event.round
                had_its_time = resumed < number and time.monotonic() - began >= turns.LEAST_SECONDS
                if turn and had_its_time and number < run.rounds and turn.is_wanted():
                    raise _GivesWayError
        return {"phase": "training", "round": number, "rounds": run.rounds}

    child, ending = work.process.begin(run, arguments if turn else [*arguments, FURTHER]), None
    try:
        ending = hear_out(child, EVENTS.parse, lease, record, stall_seconds=settings.TRAINING_STALL_SECONDS)
        if ending and not (isinstance(ending, Done) and turn is None):
            _let_end(child, lease)
    finally:
        if isinstance(ending, Done) and turn is None:
            work.process.keep(child, run)
        else:
            child.stop(grace=STOP_SECONDS)
    # Only now that no process works on its state any more: the next attempt may begin at once.
    match ending:
        case Done():
            return True
        case Failed():
            _fail(run, Failure(ending.code, ending.message, ending.fault))
        case _:
            _written(lambda: queue.give_back(run))
    return False


def _let_end(child: Child, lease: Lease | None = None) -> None:
    """Wait until the child is gone, for so long as it may take, or the worker has to stop; keep the lease."""
    began = time.monotonic()
    while child.is_running and time.monotonic() - began < FAREWELL_SECONDS:
        if shutting_down.wait(_FAREWELL_TICK):
            return
        if lease:
            lease.renew()


def _arguments(folder: Path, output: Path, run: BaselineRun, lease: Lease, check: Check) -> list[str]:
    """The command's words; the configuration goes into a file with this machine's paths."""
    config = replace(
        FederatedConfig.from_dict(run.config),
        model=model_folder(run.base_model, check),
        train_data=data_sets.training_rows(run.config["train_data"], lease),
    )
    written = folder / "run.json"
    written.write_text(json.dumps(config.as_dict()), encoding="utf-8")
    words = ["--config", str(written), "--output", str(output), "--state", str(folder / "state")]
    return [*words, "--resume", "--events"]


def _written(write: Callable[[], object]) -> None:
    once_the_database_answers(write, stop=shutting_down)


def _fail(run: BaselineRun, failure: Failure) -> None:
    try:
        _written(lambda: queue.fail_attempt(run, failure))
    except claims.ClaimLostError:
        logger.warning("%s was cancelled or taken over before its failure could be recorded", run)
