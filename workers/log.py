"""What a worker tells the team of the evaluation that it runs: gathered here, written with the lease."""

from __future__ import annotations

import threading

from django.db import transaction

from evaluation.benchmarks import BENCHMARKS
from evaluation.wire.evaluating import Event, Loading, Noted, Progress
from portal.runs import claims, logs
from portal.runs.logs import Level, Line
from portal.runs.models import Evaluation
from portal.runs.models.log import MOST_LINES

# Of a benchmark's answers these shares are worth a line, beside its beginning and its score.
_QUARTERS = (0.25, 0.5, 0.75)


class WorkerLog:
    """The lines of one attempt that are not written yet; no more than a log can hold. For any thread."""

    def __init__(self, evaluation: Evaluation) -> None:
        self._evaluation = evaluation
        self._lines: list[Line] = []
        self._lock = threading.Lock()
        self._told: set[tuple[str, str, float]] = set()

    def note(self, text: str, level: Level = Level.INFO) -> None:
        with self._lock:
            if len(self._lines) <= MOST_LINES:
                self._lines.append(Line(text, level))

    def hear(self, event: Event) -> None:
        """Note what is worth a line of what the child says."""
        match event:
            case Noted():
                self.note(event.text, Level(event.level))
            case Loading():
                self.note("Loading the base model.")
            case Progress():
                self._progress(event)

    def write(self) -> None:
        """Write what is gathered, all at once. Raises ClaimLostError, and what a lost database does."""
        with self._lock:
            lines = list(self._lines)
        if not lines:
            return
        with transaction.atomic():
            logs.add(claims.lock(self._evaluation), *lines)
        with self._lock:
            del self._lines[: len(lines)]

    def _progress(self, event: Progress) -> None:
        if event.done == event.total:
            return  # the score has a line
        share = event.done / event.total
        reached = max((quarter for quarter in (0.0, *_QUARTERS) if quarter <= share), default=0.0)
        if (event.benchmark, event.phase, reached) in self._told:
            return
        self._told.add((event.benchmark, event.phase, reached))
        what = {"judging": "programs run", "reading": "texts read"}.get(event.phase, "answers")
        of = f"{BENCHMARKS[event.benchmark].title}: " if event.benchmark else ""
        self.note(f"{of}{event.done:,} of {event.total:,} {what}")
