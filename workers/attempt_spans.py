"""An attempt at an evaluation as spans of its submission's trace: its wait, and what its process does."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from evaluation.wire.evaluating import Event, Loading, Scored
from portal import tracing
from portal.runs.models import Evaluation
from portal.tracing import Span


class AttemptSpans:
    """Told of what happens as it happens; each span ends where the next one begins."""

    def __init__(self, evaluation: Evaluation) -> None:
        self._submission, self._key = evaluation.submission_id, str(evaluation.claim_id)
        self._of: dict[str, str | int] = {
            "evaluation": evaluation.pk,
            "claim": self._key,
            "protocol": evaluation.protocol,
            "attempt": evaluation.attempts + 1,
            "worker": evaluation.worker,
        }
        self._began = self._since = time.time()
        self._doing = "preparing the files"
        self._error = ""
        queued = evaluation.queued_at.timestamp()
        tracing.record(Span(self._submission, "waiting in the queue", queued, self._began))

    def hear(self, event: Event) -> None:
        """Before what the event brings is stored."""
        match event:
            case Loading():
                self._begin("loading the base model")
            case Scored():
                self._begin(event.benchmark, ago=event.seconds)
                self._begin("storing the score")

    def failed(self, code: str) -> None:
        self._error = code

    @contextmanager
    def whole(self) -> Iterator[AttemptSpans]:
        """The attempt is over at the end of this block."""
        try:
            yield self
        finally:
            self._begin("")
            tracing.record(
                Span(
                    self._submission,
                    "evaluation",
                    self._began,
                    self._since,
                    key=self._key,
                    error=self._error,
                    attributes=self._of,
                )
            )

    def _begin(self, doing: str, *, ago: float = 0) -> None:
        at = max(self._since, time.time() - ago)
        tracing.record(Span(self._submission, self._doing, self._since, at, below=self._key))
        self._doing, self._since = doing, at
