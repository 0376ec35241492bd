"""What a run scored on its way, against what it had sent and used by then."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import accumulate
from pathlib import Path
from typing import Any

from evaluation.errors import DataError
from evaluation.federated.config import KEPT_FOLDER

_LAST_DIGITS = 1e-9


@dataclass(frozen=True)
class Spent:
    """What rounds had cost: bytes both ways, joules and simulated time, None where that is not known."""

    round: int
    bytes: int
    joules: float | None
    simulated_time: float | None

    def and_then(self, later: Spent) -> Spent:
        """Until the end of a later round; half a sum would mislead, and is None."""
        return Spent(
            later.round,
            self.bytes + later.bytes,
            _sum(self.joules, later.joules),
            _sum(self.simulated_time, later.simulated_time),
        )


@dataclass(frozen=True)
class Kept:
    """An adapter of a run and what it had cost."""

    adapter: Path
    spent: Spent


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
    def of(cls, spent: Spent, score: float, interval: tuple[float, float] | None) -> Point:
        return cls(spent.round, score, interval, spent.bytes, spent.joules, spent.simulated_time)

    def as_dict(self) -> dict[str, Any]:
        """For a file of results."""
        return asdict(self)


def kept_adapters(run: Path) -> list[Kept]:
    """The adapters that a run's output folder has, the last round's included, in the order of rounds.

    Raises DataError where it is no finished run.
    """
    try:
        records = json.loads((run / "training.json").read_text(encoding="utf-8"))["rounds"]
        costs = [_cost(record) for record in records]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{run} holds no finished run: {error}") from error
    found = []
    for spent in until_each(costs):
        folder = run if spent.round == len(costs) else run / KEPT_FOLDER / str(spent.round)
        if (folder / "adapter_config.json").is_file():
            found.append(Kept(folder, spent))
    return found


def until_each(costs: Iterable[Spent]) -> Iterator[Spent]:
    """What had been spent by the end of each round, of what each alone cost."""
    return accumulate(costs, Spent.and_then)


def _cost(record: Mapping[str, Any]) -> Spent:
    return Spent(
        int(record["round"]),
        int(record["bytes_down"]) + int(record["bytes_up"]),
        record.get("energy_joules"),
        record.get("simulated_time"),
    )


def _sum(one: float | None, other: float | None) -> float | None:
    return None if one is None or other is None else one + other


def best_within(points: Sequence[Point], limit: float, cost: Callable[[Point], float | None]) -> Point | None:
    """The best score that cost no more than the limit; of equal ones the cheapest. None if all cost more."""
    known = [(point.score, -value, point) for point in points if (value := cost(point)) is not None]
    within = [entry for entry in known if -entry[1] <= limit]
    return max(within, key=lambda entry: entry[:2])[2] if within else None


def first_to_reach(points: Sequence[Point], score: float) -> Point | None:
    """The first kept round with at least this score; None where none has it.

    A mean of 0.6, 0.6 and 0.6 may be a last digit below 0.6.
    """
    return next((point for point in points if point.score >= score - _LAST_DIGITS), None)
