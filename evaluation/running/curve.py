"""What a run scored on its way, against what it had sent and used by then."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from evaluation.errors import DataError

_ROUNDS = "rounds"


@dataclass(frozen=True)
class Kept:
    """An adapter of a run and what it had cost: bytes both ways, joules and simulated time if known."""

    round: int
    adapter: Path
    bytes: int
    joules: float | None
    simulated_time: float | None


@dataclass(frozen=True)
class Point:
    """A kept adapter's score, the mean over its benchmarks, with its 95% interval."""

    round: int
    score: float
    interval: tuple[float, float] | None
    bytes: int
    joules: float | None
    simulated_time: float | None

    @classmethod
    def of(cls, kept: Kept, score: float, interval: tuple[float, float] | None) -> Point:
        return cls(kept.round, score, interval, kept.bytes, kept.joules, kept.simulated_time)

    def as_dict(self) -> dict[str, Any]:
        """For a file of results."""
        return asdict(self)


def kept_adapters(run: Path) -> list[Kept]:
    """The adapters that a run's output folder has, the last round's included, in the order of rounds.

    Raises DataError where it is no finished run.
    """
    try:
        records = json.loads((run / "training.json").read_text(encoding="utf-8"))["rounds"]
    except (OSError, ValueError, KeyError) as error:
        raise DataError(f"{run} holds no finished run: {error}") from error
    found, sent, joules, time = [], 0, _Sum(), _Sum()
    for record in records:
        number = int(record["round"])
        sent += int(record["bytes_down"]) + int(record["bytes_up"])
        joules.add(record.get("energy_joules"))
        time.add(record.get("simulated_time"))
        folder = run if number == len(records) else run / _ROUNDS / str(number)
        if (folder / "adapter_config.json").is_file():
            found.append(Kept(number, folder, sent, joules.value, time.value))
    return found


class _Sum:
    """A sum that is None once a part of it is not known: half a sum would mislead."""

    def __init__(self) -> None:
        self.value: float | None = 0.0

    def add(self, part: float | None) -> None:
        self.value = None if part is None or self.value is None else self.value + part


def best_within(points: Sequence[Point], limit: float, cost: Callable[[Point], float | None]) -> Point | None:
    """The best score that cost no more than the limit; of equal ones the cheapest. None if all cost more."""
    known = [(point.score, -value, point) for point in points if (value := cost(point)) is not None]
    within = [entry for entry in known if -entry[1] <= limit]
    return max(within, key=lambda entry: entry[:2])[2] if within else None


def first_to_reach(points: Sequence[Point], score: float) -> Point | None:
    """The first kept round with at least this score; None where none has it."""
    return next((point for point in points if point.score >= score), None)
