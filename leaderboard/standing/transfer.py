"""What an adapter changes on each domain, its own and the others, against its base model. Pure.

Forgetting is a change below zero elsewhere. Both sides answered the same items in the same precision, so that
an item's difficulty cancels out.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from evaluation.benchmarks import BENCHMARKS
from evaluation.rules.challenges import CHALLENGES
from evaluation.statistics import Interval, PackedAnswers, interval_of_answers

CONFIDENCE = 0.95

Pair = tuple[PackedAnswers, PackedAnswers]
"""The adapter's answers to a benchmark, and the base model's."""


@dataclass(frozen=True)
class BenchmarkChange:
    """On one benchmark; fractions. `interval` is the 95% one of the difference, None if no item differs."""

    benchmark: str
    base: float
    adapter: float
    interval: Interval | None

    @property
    def title(self) -> str:
        return BENCHMARKS[self.benchmark].title

    @property
    def difference(self) -> float:
        return self.adapter - self.base


@dataclass(frozen=True)
class DomainChange:
    """On one domain: the plain means over its benchmarks, as fractions, and their difference's 95% interval.

    `joint` is wider: the joint intervals of all domains elsewhere hold at once in 95% of cases (Bonferroni).
    """

    domain: str
    base: float
    adapter: float
    interval: Interval | None
    joint: Interval | None

    @property
    def difference(self) -> float:
        return self.adapter - self.base

    @property
    def is_chance(self) -> bool:
        """Whether the items leave open that nothing changed."""
        return self.interval is None or self.interval[0] <= 0 <= self.interval[1]


@dataclass(frozen=True)
class WorstChange:
    """The lowest of the changes elsewhere, and where that is.

    The interval is from the lowest to the lowest of the joint intervals' lower and upper ends. It holds the
    lowest true change wherever that is, although the lowest of several is more often low by chance than one.
    """

    domain: str
    difference: float
    interval: Interval | None

    @property
    def title(self) -> str:
        return CHALLENGES[self.domain].title


def benchmark_change(benchmark: str, pair: Pair) -> BenchmarkChange:
    adapter, base = pair
    return BenchmarkChange(
        benchmark,
        base.right_count / base.items,
        adapter.right_count / adapter.items,
        interval_of_answers([pair]),
    )


def domain_change(domain: str, pairs: Sequence[Pair], elsewhere: int) -> DomainChange:
    """Of a domain's benchmarks, with so many domains `elsewhere`. Raises ValueError for unlike answers."""
    return DomainChange(
        domain,
        _mean([base.right_count / base.items for _, base in pairs]),
        _mean([adapter.right_count / adapter.items for adapter, _ in pairs]),
        interval_of_answers(pairs, confidence=CONFIDENCE),
        interval_of_answers(pairs, confidence=1 - (1 - CONFIDENCE) / elsewhere),
    )


def worst_of(changes: Sequence[DomainChange]) -> WorstChange:
    """Of all domains elsewhere; at least one."""
    worst = min(changes, key=lambda change: change.difference)
    joint = [change.joint for change in changes]
    known = [interval for interval in joint if interval is not None]
    interval = (min(low for low, _ in known), min(high for _, high in known)) if known == joint else None
    return WorstChange(worst.domain, worst.difference, interval)


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)
