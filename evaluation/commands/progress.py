"""Telling on stderr how far a run is: a bar on a terminal, a line every few seconds elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

from tqdm import tqdm

from evaluation.commands.text import estimate
from evaluation.engines import Choice
from evaluation.running.run import Observer, Progress
from evaluation.running.score import Score

_INTERVAL_SECONDS = 5.0
# Nothing new is said so seldom: only to show that the run is alive.
_STILL_SECONDS = 60.0
_BAR = "{desc} {percentage:3.0f}%|{bar}| {n_fmt}/{total_fmt}, {rate_noinv_fmt}, {remaining} left"


@contextmanager
def shown(benchmarks: int, *, quiet: bool) -> Iterator[Observer]:
    """An observer of a run of so many benchmarks; no bar is left behind, however the run ends."""
    if quiet:
        yield Observer()
    elif sys.stderr.isatty():
        bars = Bars(benchmarks, sys.stderr)
        try:
            yield bars
        finally:
            bars.clear()
    else:
        yield Lines(benchmarks, sys.stderr)


class Lines(Observer):
    """Tells in lines, at most every few seconds."""

    def __init__(self, benchmarks: int, stream: TextIO) -> None:
        self._benchmarks = benchmarks
        self._stream = stream
        self._ended = 0
        self._now: tuple[str, str] | None = None
        self._first = (0.0, 0)
        self._last = 0.0
        self._told = 0

    def chosen(self, engine: Choice) -> None:
        self._tell(f"engine {engine.name}: {engine.reason}")

    def noted(self, note: str) -> None:
        self._tell(note)

    def loading(self) -> None:
        self._tell("loading the base model")

    def progress(self, progress: Progress) -> None:
        if self._now != (progress.benchmark, progress.phase):
            self._now = (progress.benchmark, progress.phase)
            self._begin(progress)
        self._show(progress)

    def scored(self, result: Score) -> None:
        value = f"{estimate(result.value, result.interval)} %" if result.value is not None else "no score"
        time_taken = tqdm.format_interval(result.cost.seconds)
        self._tell(f"{self._title(result.benchmark)}: {value} on {result.n:,} items in {time_taken}")
        self._ended += 1

    def _begin(self, progress: Progress) -> None:
        self._last = time.monotonic()
        self._first = (self._last, progress.done)
        self._told = progress.done

    def _show(self, progress: Progress) -> None:
        now = time.monotonic()
        wait = _INTERVAL_SECONDS if progress.done > self._told else _STILL_SECONDS
        if progress.done < progress.total and now - self._last < wait:
            return
        self._last, self._told = now, progress.done
        line = f"{self._title(progress.benchmark, progress.phase)}: {progress.done:,}/{progress.total:,}"
        start, done_at_start = self._first
        if progress.done > done_at_start and now > start:
            rate = (progress.done - done_at_start) / (now - start)
            line += f", {rate:,.1f} items/s"
            if progress.done < progress.total:
                line += f", {tqdm.format_interval((progress.total - progress.done) / rate)} left"
        self._tell(line)

    def _title(self, benchmark: str, phase: str = "generating") -> str:
        place = f"[{self._ended + 1}/{self._benchmarks}] " if self._benchmarks > 1 else ""
        return f"{place}{benchmark}{', running programs' if phase == 'judging' else ''}"

    def _tell(self, line: str) -> None:
        print(line, file=self._stream, flush=True)


class Bars(Lines):
    """Draws a bar for what runs; what has ended becomes a line above it."""

    _bar: tqdm[None] | None = None

    def clear(self) -> None:
        """Take the bar away."""
        if self._bar is not None:
            self._bar.close()
        self._bar = None

    def scored(self, result: Score) -> None:
        self.clear()
        super().scored(result)

    def _begin(self, progress: Progress) -> None:
        self.clear()
        self._bar = tqdm(
            desc=self._title(progress.benchmark, progress.phase),
            total=progress.total,
            initial=progress.done,
            unit=" items",
            bar_format=_BAR,
            file=self._stream,
            leave=False,
            dynamic_ncols=True,
        )

    def _show(self, progress: Progress) -> None:
        if self._bar is not None:
            self._bar.update(progress.done - self._bar.n)
