"""What joules mean: gross and above idle, kilowatt-hours, points gained for each, and carbon by the grid."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, stdev
from typing import Annotated

from msgspec import Meta

JOULES_PER_KWH = 3.6e6

GRID_INTENSITIES = (30.0, 713.0)
"""Grams of CO2 equivalents for a kilowatt-hour: Norway's and India's mean of 2023, by Ember (July 2024).

Most national grids lie between. Where a machine stands is not known here, so one figure would be invented.
"""

_AND, _WITHOUT = "; ", "without "

Amount = Annotated[float, Meta(ge=0)]


@dataclass(frozen=True)
class Energy:
    """What was used in so many `seconds`, as `counters` count it; `left_out` names others, and why.

    `joules` are gross: all that the counters counted. `net_joules` are above idle: less what the same devices
    draw while nothing runs on them, `idle_watts`, in that time. None where it is not known.
    """

    joules: Amount | None = None
    net_joules: Amount | None = None
    idle_watts: Amount | None = None
    seconds: Amount = 0.0
    counters: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()

    @property
    def method(self) -> str:
        """The counters in words, with their devices, and what was not counted; "" without either."""
        parts = [", ".join(self.counters)] if self.counters else []
        return _AND.join([*parts, *(f"{_WITHOUT}{reason}" for reason in self.left_out)])


@dataclass(frozen=True)
class Spread:
    """The mean of so many measurements of one thing, and their standard deviation; None of a single one."""

    mean: float
    deviation: float | None
    number: int

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """At least one value is needed."""
        return cls(fmean(values), stdev(values) if len(values) > 1 else None, len(values))

    @property
    def relative(self) -> float | None:
        """The deviation as a share of the mean."""
        return self.deviation / self.mean if self.deviation is not None and self.mean else None


def counted(method: str) -> str:
    """The counters that a `method` names, without those that were left out: what makes figures alike."""
    return _AND.join(part for part in method.split(_AND) if not part.startswith(_WITHOUT))


def total(parts: Sequence[Energy]) -> Energy:
    """The sum, in what all of them know: half a sum would mislead."""
    joules, net = _sum([part.joules for part in parts]), _sum([part.net_joules for part in parts])
    seconds = sum(part.seconds for part in parts)
    idle = (joules - net) / seconds if joules is not None and net is not None and seconds else None
    return Energy(
        joules,
        net,
        idle,
        seconds,
        tuple(sorted({name for part in parts for name in part.counters})),
        tuple(sorted({reason for part in parts for reason in part.left_out})),
    )


def carbon_grams(joules: float) -> tuple[float, float]:
    """From what a clean grid emits for so much energy to what a coal-fired one does, in grams of CO2e."""
    kilowatt_hours = joules / JOULES_PER_KWH
    low, high = GRID_INTENSITIES
    return kilowatt_hours * low, kilowatt_hours * high


def points_per_kilowatt_hour(gain: float, joules: float) -> float | None:
    """Percentage points that a training gained, `gain` a fraction, for each kWh; None where it took none."""
    return 100 * gain * JOULES_PER_KWH / joules if joules > 0 else None


def _sum(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) if known and len(known) == len(values) else None
