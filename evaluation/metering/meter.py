"""Measures what work uses: counters read before and after it, and what the same devices draw when idle."""

from __future__ import annotations

import os
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path

from evaluation import gpus
from evaluation.energy import Energy
from evaluation.metering.counters import POWERCAP, Counter, GpuCounter, of_gpus, of_processors
from evaluation.metering.presence import Presence

IDLE_SECONDS = 5
"""Idle power is the lowest of so many seconds: a moment's work of something else does not count as idle."""
# A package of more does not exist, so that a counter which is read in this time has come round once at most.
_MOST_WATTS = 1_000.0
_LOOK_SECONDS = 60.0


class Measurement:
    """One stretch of work; `energy` is there when it is over."""

    energy = Energy()


class EnergyMeter:
    """A process's own. Where there is no counter it does nothing and takes no time.

    A counter counts a whole device, whoever uses it. What processes that measure do at the same time on the
    same one cannot be told apart, so it is left out of all their figures; of other programs nothing is known.
    A GPU that cannot be counted leaves no figure at all, as it would be the most of it.
    """

    def __init__(
        self,
        powercap: Path = POWERCAP,
        folder: Path | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._powercap, self._clock, self._sleep = powercap, clock, sleep
        self._folder = folder or Path(tempfile.gettempdir()) / f"flowertune-energy-{os.getuid()}"
        self._idle: dict[str, float] | None = None
        self._presences: dict[str, Presence | None] = {}
        self._depth = 0

    @contextmanager
    def present(self) -> Iterator[None]:
        """Others know meanwhile that this process works here; may be nested."""
        self._depth += 1
        try:
            for counter in (*of_gpus(self._gpus), *self._packages):
                self._arrive(counter.key)
            yield
        finally:
            self._depth -= 1
            if not self._depth:
                for presence in filter(None, self._presences.values()):
                    presence.leave()
                self._presences.clear()

    def measure_idle(self) -> None:
        """Measure idle power, once in the life of this process: to be asked before anything is loaded."""
        if self._idle is not None:
            return
        self._idle = {}
        counters: list[Counter] = [*of_gpus(self._gpus), *self._packages]
        readable = [counter for counter in counters if not _Count(counter, 0.0).lost]
        if not readable:
            return
        with self.present():
            company = {counter.key: self._company(counter.key) for counter in readable}
            watts = [self._watts(readable) for _ in range(IDLE_SECONDS)]
            for counter in readable:
                seen = [second.get(counter.key) for second in watts]
                known = [power for power in seen if power is not None]
                if len(known) == len(seen) and not (company[counter.key] or self._came(counter.key)):
                    self._idle[counter.key] = min(known)

    @contextmanager
    def measuring(self, uuids: Sequence[str]) -> Iterator[Measurement]:
        """Measure what the GPUs with these UUIDs and the processor use meanwhile."""
        measured = Measurement()
        with self.present():
            counters: list[Counter] = [*of_gpus(uuids), *self._packages]
            for counter in counters:
                self._arrive(counter.key)
            company = {counter.key: self._company(counter.key) for counter in counters}
            began = self._clock()
            counts = [_Count(counter, began) for counter in counters]
            with self._watched(counts):
                yield measured
            ended = self._clock()
            for count in counts:
                count.look(ended)
                key = count.counter.key
                count.lost = company[key] or self._came(key) or count.lost
            measured.energy = self._energy(counts, ended - began)

    @cached_property
    def _gpus(self) -> tuple[str, ...]:
        return gpus.visible()

    @cached_property
    def _packages(self) -> tuple[Counter, ...]:
        return of_processors(self._powercap)

    def _arrive(self, key: str) -> None:
        if key in self._presences:
            return
        presence = Presence(self._folder / key.replace("/", "-"))
        try:
            presence.arrive()
        except OSError:  # a folder for temporary files that takes none: then nobody can be told of
            self._presences[key] = None
        else:
            self._presences[key] = presence

    def _company(self, key: str) -> str:
        """Why what a counter counts from now on is not this process's alone; "" where it is."""
        presence = self._presences[key]
        if presence is None:
            return "who else uses it cannot be told"
        return "" if presence.is_alone() else _SHARED

    def _came(self, key: str) -> str:
        """The same of the time since then."""
        presence = self._presences[key]
        return _SHARED if presence is not None and presence.met() else ""

    def _watts(self, counters: Sequence[Counter]) -> dict[str, float]:
        """What is drawn in the next second, by the counters' keys."""
        began = self._clock()
        counts = [_Count(counter, began) for counter in counters]
        self._sleep(1.0)
        ended = self._clock()
        for count in counts:
            count.look(ended)
        return {count.counter.key: count.joules / (ended - began) for count in counts if not count.lost}

    @contextmanager
    def _watched(self, counts: Sequence[_Count]) -> Iterator[None]:
        """Read those that come round often enough to notice it, from a thread of its own."""
        round_ones = [count for count in counts if count.counter.range_joules is not None]
        over = threading.Event()

        def watch() -> None:
            while not over.wait(_LOOK_SECONDS):
                for count in round_ones:
                    count.look(self._clock())

        thread = threading.Thread(target=watch, name="energy", daemon=True)
        if round_ones:
            thread.start()
        try:
            yield
        finally:
            over.set()
            if round_ones:
                thread.join()

    def _energy(self, counts: Sequence[_Count], seconds: float) -> Energy:
        left_out = [f"{count.counter.name}: {count.lost}" for count in counts if count.lost]
        counted = [count for count in counts if not count.lost]
        if not counted or any(count.lost for count in counts if isinstance(count.counter, GpuCounter)):
            return Energy(seconds=seconds, left_out=tuple(left_out))
        joules = sum(count.joules for count in counted)
        powers = [(self._idle or {}).get(count.counter.key) for count in counted]
        known = [power for power in powers if power is not None]
        idle = sum(known) if len(known) == len(powers) else None
        if idle is not None and idle * seconds > joules:
            left_out.append("idle power: something ran while it was measured")
            idle = None
        net = None if idle is None else joules - idle * seconds
        names = tuple(count.counter.name for count in counted)
        return Energy(joules, net, idle, seconds, names, tuple(left_out))


_SHARED = "another evaluation or training used it too"


class _Count:
    """What one counter has counted since it was first read; `lost` says why that is not known any more."""

    def __init__(self, counter: Counter, now: float) -> None:
        self.counter = counter
        self.joules = 0.0
        self.lost = ""
        self._last: tuple[float, float] | None = None
        self.look(now)

    def look(self, now: float) -> None:
        """Read it at this second of the clock."""
        if self.lost:
            return
        try:
            joules = self.counter.read()
        except OSError as error:
            self.lost = (error.strerror or str(error)).lower()
            return
        if self._last is not None:
            self._add(joules - self._last[0], now - self._last[1])
        self._last = joules, now

    def _add(self, step: float, seconds: float) -> None:
        span = self.counter.range_joules
        if span is not None and seconds > span / _MOST_WATTS:
            self.lost = "it was not read in time"
        elif step < 0 and span is not None:
            step += span
        if step < 0:
            self.lost = "it began anew"
        self.joules += step
