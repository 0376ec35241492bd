"""Timing, and the line that a benchmark prints."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Comparison:
    """What was measured, against what: seconds of both, and what the ratio says."""

    what: str
    seconds: float
    peer: str
    peer_seconds: float
    note: str = ""

    def line(self) -> str:
        ratio = self.peer_seconds / self.seconds
        text = (
            f"{self.what}: {_time(self.seconds)}; {self.peer}: {_time(self.peer_seconds)}; ratio {ratio:.2f}"
        )
        return f"{text} ({self.note})" if self.note else text


def median_seconds(call: Callable[[], object], repeat: int) -> float:
    """The median of `repeat` runs after one to warm up."""
    call()
    times = []
    for _ in range(repeat):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def _time(seconds: float) -> str:
    return f"{seconds:.2f} s" if seconds >= 1 else f"{1000 * seconds:.1f} ms"
