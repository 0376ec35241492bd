"""A child process that evaluates: jobs come in on stdin, events go out on stdout, as JSON lines.

It keeps the base model between jobs. When stdin ends, its supervisor is gone and it exits at once.
"""

from __future__ import annotations

import json
import os
import queue
import sys
import threading
import time
import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

from evaluation.engines import AUTO
from evaluation.errors import EngineCrashError, EvaluationError
from evaluation.rules import protocol
from evaluation.running.run import Evaluation, Evaluator, Observer, Plan, Progress
from evaluation.running.score import Score, write_items

# Progress is told at most so often.
_INTERVAL_SECONDS = 0.5


class BadJobError(EvaluationError):
    """A line that is not a job; the text says what is wrong with it."""

    code = "bad_job"


@dataclass(frozen=True)
class Job:
    """One line of input: what to evaluate and the folder for the items files."""

    id: str
    plan: Plan
    output: Path

    @classmethod
    def parse(cls, fields: dict[str, Any]) -> Job:
        """Raises BadJobError that names the field."""
        names = _field(fields, "benchmarks", list)
        if not names or not all(isinstance(name, str) for name in names):
            raise BadJobError("`benchmarks` must be a list of at least one name")
        adapter = _field(fields, "adapter", str, None)
        plan = Plan(
            model=_field(fields, "model", str),
            benchmarks=tuple(names),
            adapter=Path(adapter) if adapter else None,
            protocol=_field(fields, "protocol", int, protocol.CURRENT.number),
            engine=_field(fields, "engine", str, AUTO),
            precision=_field(fields, "precision", str, None),
            data=_field(fields, "data", str, None),
            limit=_field(fields, "limit", int, None),
        )
        return cls(_field(fields, "job", str), plan, Path(_field(fields, "output", str)))


_REQUIRED = object()


def _field(fields: dict[str, Any], name: str, kind: type, default: Any = _REQUIRED) -> Any:
    value = fields.get(name)
    if value is None:
        if default is _REQUIRED:
            raise BadJobError(f"`{name}` is missing")
        return default
    if not isinstance(value, kind) or isinstance(value, bool):
        raise BadJobError(f"`{name}` must be of type {kind.__name__}, not {type(value).__name__}")
    return value


class Events:
    """Writes events, one JSON line each."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def send(self, event: str, **fields: Any) -> None:
        self._stream.write(json.dumps({"event": event, **fields}) + "\n")
        self._stream.flush()

    def error(self, job: str | None, error: EvaluationError) -> None:
        self.send("error", job=job, code=error.code, message=str(error), retryable=error.retryable)


class _Reporter(Observer):
    """Turns what happens in one job into events."""

    def __init__(self, job: Job, events: Events) -> None:
        self._job = job
        self._events = events
        self._first: tuple[float, int] | None = None
        self._last = 0.0

    def loading(self) -> None:
        self._events.send("loading", job=self._job.id)

    def progress(self, progress: Progress) -> None:
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
        self._events.send(
            "progress",
            job=self._job.id,
            benchmark=progress.benchmark,
            phase=progress.phase,
            done=progress.done,
            total=progress.total,
            rate=rate,
            # At the rate so far, the remaining benchmarks of the job included.
            eta=(progress.plan_total - progress.plan_done) / rate if rate else None,
        )

    def scored(self, result: Score) -> None:
        items = self._job.output / f"{result.benchmark}.jsonl"
        write_items(items, [result])
        self._events.send(
            "score",
            job=self._job.id,
            benchmark=result.benchmark,
            **result.as_dict(),
            items=str(items),
        )


def run_line(line: str, evaluator: Evaluator, events: Events) -> None:
    """Run the job of one input line; whatever goes wrong becomes an error event."""
    job: str | None = None
    try:
        fields = _fields(line)
        job = fields["job"] if isinstance(fields.get("job"), str) else None
        evaluation = _evaluate(Job.parse(fields), evaluator, events)
        events.send("done", job=job, provenance=evaluation.provenance.as_dict())
    except EvaluationError as error:
        events.error(job, error)
    except Exception as error:  # noqa: BLE001 - the boundary to the supervisor: it must hear of every failure
        traceback.print_exc()
        evaluator.close()  # what state the engine is in is unknown
        events.error(job, EngineCrashError(f"{type(error).__name__}: {error}"))


def _fields(line: str) -> dict[str, Any]:
    try:
        fields = json.loads(line)
    except ValueError as error:
        raise BadJobError(f"not a line of JSON: {error}") from error
    if not isinstance(fields, dict):
        raise BadJobError("not a JSON object")
    return fields


def _evaluate(job: Job, evaluator: Evaluator, events: Events) -> Evaluation:
    try:
        job.output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BadJobError(f"the output folder {job.output} cannot be made: {error}") from error
    return evaluator.evaluate(job.plan, _Reporter(job, events))


def _read_lines(lines: queue.SimpleQueue[str]) -> None:
    """Queue the lines of stdin, and end the process when there are no more."""
    for line in sys.stdin:
        if line.strip():
            lines.put(line)
    os._exit(0)  # at once, in the middle of a run too: nobody is left to hear of it


def main() -> None:
    """Serve until stdin ends."""
    # Libraries print. Events get the original stdout for themselves; what is printed goes to stderr.
    stream = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    events, evaluator = Events(stream), Evaluator()
    lines: queue.SimpleQueue[str] = queue.SimpleQueue()
    threading.Thread(target=_read_lines, args=(lines,), daemon=True).start()
    events.send("ready", pid=os.getpid())
    while True:
        run_line(lines.get(), evaluator, events)


if __name__ == "__main__":
    try:
        main()
    except (BrokenPipeError, KeyboardInterrupt):
        os._exit(1)  # the supervisor is gone, or somebody at a terminal has had enough
