"""Supervises `python -m evaluation.server`, the child process in which models are evaluated.

The child stays warm between jobs, so a base model is loaded once for many adapters. Ending a run means
ending the child.
"""

from __future__ import annotations

import time
from collections.abc import Generator
from dataclasses import asdict, dataclass
from typing import Any

from django.conf import settings

from evaluation.errors import EngineCrashError
from workers.children import Child

# Errors that lie in what was asked; after any other the child is not trusted any more.
HARMLESS_ERRORS = frozenset({"bad_job", "checkpoint", "data", "unknown_name"})


@dataclass(frozen=True)
class Job:
    """One evaluation as the child takes it; fields as `evaluation.server` documents them."""

    job: str
    model: str
    adapter: str | None
    benchmarks: list[str]
    protocol: int
    engine: str
    precision: str
    data: str
    limit: int | None
    output: str


class EvaluationProcess:
    """The child process, started at the first job and restarted after it ended."""

    def __init__(self) -> None:
        self._child: Child | None = None
        self.loaded_base_model: int | None = None

    def run(self, job: Job, *, base_model: int) -> Generator[dict[str, Any] | None]:
        """Yield the job's events as they come, and None at every quiet second.

        The caller renews its lease at each step. Ends after a `done` or `error` event. Raises
        EngineCrashError when the child dies or is silent for EVALUATION_STALL_SECONDS. Closing the
        generator early kills the child: that is how a run is cancelled.
        """
        finished = False
        try:
            child = self._ready_child()
            child.send(asdict(job))
            heard = time.monotonic()
            while not finished:
                event = child.next_event()
                if event is None:
                    if time.monotonic() - heard > settings.EVALUATION_STALL_SECONDS:
                        raise EngineCrashError(
                            f"The evaluation was silent for {settings.EVALUATION_STALL_SECONDS} seconds."
                        )
                else:
                    heard = time.monotonic()
                    if event.get("job") not in (None, job.job):
                        continue
                    finished = event["event"] in ("done", "error")
                if event and event["event"] == "done":
                    self.loaded_base_model = base_model
                elif event and event["event"] == "error" and event["code"] not in HARMLESS_ERRORS:
                    self.stop()  # a CUDA error, for one, spoils the process for every later job
                yield event
        finally:
            if not finished:
                self.stop()

    def stop(self) -> None:
        """Kill the child and everything it started. Idempotent."""
        self.loaded_base_model = None
        child, self._child = self._child, None
        if child is not None:
            child.stop()

    def _ready_child(self) -> Child:
        if self._child is not None and not self._child.is_running:
            self.stop()
        if self._child is None:
            self._child = Child("evaluation", "evaluation.server")
        return self._child
