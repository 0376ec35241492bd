"""Tests of two runs on the same items: each item is its own control, so that its difficulty cancels out.

What they bound is chance in which items a benchmark happens to hold. The chance in a training run (its seed,
the clients it drew) is not in the answers of one checkpoint, and no test here knows of it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import TYPE_CHECKING

from evaluation.statistics.packed import Discordance, PackedAnswers
from evaluation.statistics.proportions import Interval

if TYPE_CHECKING:
    import numpy
    from numpy.typing import NDArray

RESAMPLES = 9_999

Differences = Mapping[float, int]
"""How many items have which difference, a's value on the item less b's."""


def mcnemar_exact(only_a: int, only_b: int) -> float:
    """Two-sided p value that two runs are equally often right, from the numbers of discordant items.

    McNemar's test (1947, doi:10.1007/BF02295996) in its exact conditional form: twice the smaller tail of the
    binomial distribution with probability 1/2, at most 1. It keeps its level at every number of items, where
    the mid-p form and the chi-squared one only nearly do, and is the more cautious for it (Fagerland et al.
    2013, doi:10.1186/1471-2288-13-91). Without discordant items it is 1.
    """
    if only_a < 0 or only_b < 0:
        raise ValueError("numbers of items are not negative")
    discordant = only_a + only_b
    term = tail = 1  # in integers: exact, and no tail is lost to rounding
    for k in range(min(only_a, only_b)):
        term = term * (discordant - k) // (k + 1)
        tail += term
    return min(1.0, 2 * tail / (1 << discordant))


def differences(pairs: Discordance) -> Differences:
    """The differences of right (1) and wrong (0) answers."""
    return {
        1.0: pairs.only_a,
        -1.0: pairs.only_b,
        0.0: pairs.items - pairs.only_a - pairs.only_b,
    }


@dataclass(frozen=True)
class BootstrapDifference:
    """The `difference` of two runs' averages, a's less b's, with its interval."""

    difference: float
    interval: Interval
    confidence: float
    resamples: int
    seed: int


def paired_bootstrap(
    strata: Sequence[Differences],
    *,
    confidence: float = 0.95,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> BootstrapDifference:
    """Difference of the plain mean over benchmarks, from each benchmark's paired differences.

    Each resample draws every benchmark's items anew with replacement, as many as it has, a pair together; the
    interval is the percentile interval (Efron & Tibshirani 1993, chapters 8 and 13). Equal input and seed
    give equal output; exchanging runs that differ changes the signs and nothing else.

    Raises ValueError when there is no benchmark, or one without items.
    """
    _check(strata, resamples)
    sign = -1 if _key(_mirrored(strata)) > _key(strata) else 1
    draws = sign * _resample(_mirrored(strata) if sign < 0 else strata, resamples, seed)
    draws.sort()
    outside = max(0, math.floor((1 - confidence) / 2 * (resamples + 1)) - 1)
    interval = float(draws[outside]), float(draws[-1 - outside])
    return BootstrapDifference(_difference(strata), interval, confidence, resamples, seed)


def paired_interval(
    pairs: Sequence[tuple[PackedAnswers, PackedAnswers]], *, confidence: float = 0.95
) -> Interval | None:
    """Interval of the difference of two runs' plain means over benchmarks, a's less b's; a pair a benchmark.

    The difference plus and minus its paired standard error times the normal quantile: with d items of n on
    which the two differ, and the difference δ of the proportions, a benchmark's variance is (d/n - δ²)/n. It
    takes a microsecond, where `paired_bootstrap` takes milliseconds. None where no item differs: answers that
    are the same say nothing of how far others would be apart.

    Raises ValueError for incomplete or unlike answers.
    """
    total = variance = 0.0
    for a, b in pairs:
        if a.items != b.items or not (a.complete and b.complete):
            raise ValueError("paired answers are complete and to the same items")
        difference = (a.right_count - b.right_count) / a.items
        total += difference
        variance += ((a.right ^ b.right).bit_count() / a.items - difference**2) / a.items
    if not variance:
        return None
    half = NormalDist().inv_cdf((1 + confidence) / 2) * math.sqrt(variance)
    return (total - half) / len(pairs), (total + half) / len(pairs)


def randomisation_test(strata: Sequence[Differences], *, resamples: int = RESAMPLES, seed: int = 0) -> float:
    """Two-sided p value that two runs have the same plain mean over benchmarks.

    If they answer alike, each item's difference has either sign with the same chance: the share of random
    signs under which the means differ as much or more (Noreen 1989; Yeh 2000, arXiv cs/0008005), the observed
    ones counted in, so that it is never below 1 / (resamples + 1). For one benchmark it is the exact McNemar
    test but for the drawing. A bootstrap's own p value is too small where few items differ: nearly no
    resample of seven items that all favour one run favours the other, but one in 64 such outcomes is chance.

    Raises ValueError as `paired_bootstrap` does.
    """
    _check(strata, resamples)
    import numpy

    generator = numpy.random.default_rng(seed)
    total = numpy.zeros(resamples)
    for stratum in strata:
        for value in sorted({abs(value) for value in stratum if value}):
            count = stratum.get(value, 0) + stratum.get(-value, 0)
            positive = generator.binomial(count, 0.5, size=resamples)
            total += (2 * positive - count) * (value / sum(stratum.values()) / len(strata))
    # Sums of the same differences differ in their last bits by the order of adding.
    as_extreme = int((numpy.abs(total) >= abs(_difference(strata)) - 1e-12).sum())
    return (1 + as_extreme) / (resamples + 1)


def _resample(strata: Sequence[Differences], resamples: int, seed: int) -> NDArray[numpy.float64]:
    """The mean over strata of each resample's mean differences, shape (resamples,).

    Drawing n items with replacement is drawing how often each distinct difference comes up.
    """
    import numpy

    generator = numpy.random.default_rng(seed)
    total = numpy.zeros(resamples)
    for stratum in strata:
        values, counts = zip(*sorted(stratum.items()), strict=True)
        n = sum(counts)
        drawn = generator.multinomial(n, numpy.array(counts) / n, size=resamples)
        total += drawn @ numpy.array(values) / n
    return total / len(strata)


def _difference(strata: Sequence[Differences]) -> float:
    means = (
        math.fsum(value * count for value, count in stratum.items()) / sum(stratum.values())
        for stratum in strata
    )
    return math.fsum(means) / len(strata)


def _mirrored(strata: Sequence[Differences]) -> list[Differences]:
    return [{-value: count for value, count in stratum.items()} for stratum in strata]


def _key(strata: Sequence[Differences]) -> list[list[tuple[float, int]]]:
    return [sorted(stratum.items()) for stratum in strata]


def _check(strata: Sequence[Differences], resamples: int) -> None:
    if not strata or not all(sum(stratum.values()) > 0 for stratum in strata):
        raise ValueError("the difference of no items has no distribution")
    if resamples < 1:
        raise ValueError("at least one resample is needed")
