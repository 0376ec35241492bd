"""A child process that evaluates: jobs come in on stdin, events go out on stdout (evaluation.wire).

It keeps the base model between jobs; while it is idle and another waits for its GPU, it ends and so frees the
memory. When stdin ends, its supervisor is gone and it exits at once.
"""

from __future__ import annotations

import logging
import os
import queue
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Literal, TextIO

from evaluation import gpus
from evaluation.engines import Choice
from evaluation.errors import EngineCrashError, EvaluationError, outage_of
from evaluation.federated.config import FederatedConfig
from evaluation.gpu_turns import Turn
from evaluation.log_lines import about, warnings_to_stderr
from evaluation.running import run
from evaluation.running.leakage import LeakagePlan, measure
from evaluation.running.provenance import Provenance
from evaluation.running.run import Evaluator, Observer, Outcome, Plan
from evaluation.running.score import Score, write_items
from evaluation.wire.evaluating import JOBS, Done, Job, Loading, Noted, Progress, Ready, Scored
from evaluation.wire.leakage import LeakageJob, LeakageMeasured
from evaluation.wire.messages import Failed, Message, dump

# Not of this project's: its lines go to standard error alone, as teams are told of the same by events.
_FOR_OPERATORS = logging.getLogger("for_operators")
# Progress is told at most so often.
_INTERVAL_SECONDS = 0.5
# So often an idle process looks whether its GPU is wanted.
_LOOK_SECONDS = 1.0


class Events:
    """Writes events, one line each; from any thread."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._lock = threading.Lock()

    def send(self, event: Message) -> None:
        with self._lock:
            self._stream.write(dump(event) + "\n")
            self._stream.flush()


class _LogLines(logging.Handler):
    """Sends what this project's own code logs as notes, of each its first line: more is for operators."""

    def __init__(self, events: Events) -> None:
        super().__init__(logging.INFO)
        self._events = events

    def emit(self, record: logging.LogRecord) -> None:
        self._events.send(Noted(None, _level(record.levelno), record.getMessage().partition("\n")[0]))


def _level(number: int) -> Literal["info", "warning", "error"]:
    if number >= logging.ERROR:
        return "error"
    return "warning" if number >= logging.WARNING else "info"


class _Reporter(Observer):
    """Turns what happens in one job into events."""

    def __init__(self, job: Job | LeakageJob, events: Events) -> None:
        self._job = job
        self._events = events
        self._first: tuple[float, int] | None = None
        self._last = 0.0

    def chosen(self, engine: Choice) -> None:
        self._events.send(Noted(self._job.job, "info", f"engine {engine.name}: {engine.reason}"))

    def noted(self, note: str) -> None:
        _FOR_OPERATORS.warning("%s", note)  # into the worker's log
        self._events.send(Noted(self._job.job, "warning", note))

    def loading(self) -> None:
        self._events.send(Loading(self._job.job))

    def progress(self, progress: run.Progress) -> None:
        now = time.monotonic()
        if self._first is None:
            self._first = (now, progress.plan_done)
        ended = progress.done == progress.total
        if not ended and now - self._last < _INTERVAL_SECONDS:
            return
        self._last = now
        start, at_start = self._first
        answered = progress.plan_done - at_start
        rate = answered / (now - start) if answered and now > start else None
        told = Progress(
            job=self._job.job,
            benchmark=progress.benchmark,
            phase=progress.phase,
            done=progress.done,
            total=progress.total,
            rate=rate,
            # At the rate so far, the remaining benchmarks of the job included.
            eta=(progress.plan_total - progress.plan_done) / rate if rate else None,
        )
        self._events.send(told)

    def read(self, done: int, total: int) -> None:
        """So many texts went through the model, to measure leakage."""
        self.progress(run.Progress("", done, total, done, total, "reading"))

    def scored(self, result: Score) -> None:
        assert isinstance(self._job, Job)
        items = Path(self._job.output) / f"{result.benchmark}.jsonl"
        write_items(items, [result])
        told = Scored(
            job=self._job.job,
            benchmark=result.benchmark,
            value=result.value,
            standard_error=result.stderr,
            n=result.n,
            correct=result.correct_count,
            unscored=result.unscored,
            data=result.data,
            data_digest=result.dataset.digest,
            available=result.dataset.available,
            official=result.official,
            unofficial_reasons=result.unofficial,
            correct_bits=result.correct_bits,
            scored_bits=result.scored_bits,
            seconds=round(result.cost.seconds, 3),
            tokens=result.cost.tokens,
            tokens_per_second=result.cost.tokens_per_second,
            energy_joules=result.cost.energy.joules,
            energy_net_joules=result.cost.energy.net_joules,
            energy_method=result.cost.energy.method,
            items=str(items),
        )
        self._events.send(told)


def run_line(line: str, evaluator: Evaluator, events: Events) -> None:
    """Run the job of one input line; whatever goes wrong becomes an error event."""
    named: str | None = None
    try:
        job = JOBS.parse(line)
        named = job.job
        with about(claim=named), evaluator.meter.present():
            provenance = (
                _measured(job, evaluator, events)
                if isinstance(job, LeakageJob)
                else _evaluate(job, evaluator, events).provenance
            )
        events.send(Done(named, provenance.as_dict()))
    except EvaluationError as error:
        events.send(Failed.of(error, named))
    except Exception as error:  # noqa: BLE001 - the boundary to the supervisor: it must hear of every failure
        with about(claim=named):
            _FOR_OPERATORS.exception("a job broke")
        evaluator.close()  # what state the engine is in is unknown
        crash = EngineCrashError(f"{type(error).__name__}: {error}")
        events.send(Failed.of(outage_of(error) or crash, named))


def _evaluate(job: Job, evaluator: Evaluator, events: Events) -> Outcome:
    Path(job.output).mkdir(parents=True, exist_ok=True)
    plan = Plan(
        model=job.model,
        benchmarks=job.benchmarks,
        adapter=Path(job.adapter) if job.adapter else None,
        protocol=job.protocol,
        engine=job.engine,
        precision=job.precision,
        data=job.data,
        limit=job.limit,
        registered=job.registered,
        smoke_run=job.smoke_run,
    )
    return evaluator.evaluate(plan, _Reporter(job, events))


def _measured(job: LeakageJob, evaluator: Evaluator, events: Events) -> Provenance:
    plan = LeakagePlan(
        model=job.model,
        adapter=Path(job.adapter),
        challenge=job.challenge,
        protocol=job.protocol,
        precision=job.precision,
        rows=Path(job.rows),
        run=FederatedConfig.from_dict(job.run) if job.run is not None else None,
        rounds=job.rounds,
        template=job.template,
        columns=job.columns,
        data=job.data,
        registered=job.registered,
    )
    reporter = _Reporter(job, events)
    found = measure(plan, evaluator, reporter, reporter.read)
    told = LeakageMeasured(
        job=job.job,
        members=found.members,
        others=found.others,
        memberships=found.memberships,
        clients=found.clients,
        exposures=found.exposures,
        seconds=round(found.seconds, 3),
    )
    events.send(told)
    return found.provenance


def _read_lines(lines: queue.SimpleQueue[str]) -> None:
    """Queue the lines of stdin, and end the process when there are no more."""
    for line in sys.stdin:
        if line.strip():
            lines.put(line)
    os._exit(0)  # at once, in the middle of a run too: nobody is left to hear of it


def _next(lines: queue.SimpleQueue[str], turn: Turn | None) -> str:
    """The next line, or the end of this process where another waits for the GPU that nobody works on.

    It ends with the turn in its hands, so that nobody sends it a job in this moment.
    """
    while turn is not None:
        with suppress(queue.Empty):
            return lines.get(timeout=_LOOK_SECONDS)
        if turn.is_wanted() and turn.take("an idle evaluation process"):
            os._exit(0)
    return lines.get()


def _log_to(events: Events) -> None:
    """What this project logs goes to the supervisor, and as before to stderr from warnings on."""
    warnings_to_stderr()
    project = logging.getLogger("evaluation")
    project.setLevel(logging.INFO)
    project.addHandler(_LogLines(events))


def main() -> None:
    """Serve until stdin ends."""
    # Libraries print. Events get the original stdout for themselves; what is printed goes to stderr.
    stream = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    events, evaluator = Events(stream), Evaluator()
    _log_to(events)
    lines: queue.SimpleQueue[str] = queue.SimpleQueue()
    threading.Thread(target=_read_lines, args=(lines,), daemon=True).start()
    events.send(Ready(os.getpid()))
    found = gpus.visible()
    turn = Turn(found) if found else None
    while True:
        run_line(_next(lines, turn), evaluator, events)


if __name__ == "__main__":
    try:
        main()
    except (BrokenPipeError, KeyboardInterrupt):
        os._exit(1)  # the supervisor is gone, or somebody at a terminal has had enough
