"""Tests of two runs on the same items: each item is its own control, so that its difficulty cancels out.

What they bound is chance in which items a benchmark happens to hold. The chance in a training run (its seed,
the clients it drew) is not in the answers of one checkpoint, and no test here knows of it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import cache
from statistics import NormalDist

from evaluation.statistics.packed import Discordance, PackedAnswers
from evaluation.statistics.proportions import Interval

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


def mean_difference(strata: Sequence[Differences]) -> float:
    """The plain mean over benchmarks of each one's mean difference.

    Raises ValueError as `paired_interval` does.
    """
    _check(strata)
    means = (
        math.fsum(value * count for value, count in stratum.items()) / sum(stratum.values())
        for stratum in strata
    )
    return math.fsum(means) / len(strata)


def paired_interval(strata: Sequence[Differences], *, confidence: float = 0.95) -> Interval:
    """Interval of the `mean_difference`, from each benchmark's paired differences.

    It plus and minus its paired standard error times the normal quantile (Miller 2024, arXiv 2411.00640): a
    benchmark of n items whose differences have the variance v contributes v/n. It takes microseconds, so that
    every place that shows a difference of two runs can show the same one. Where all items of each benchmark
    differ alike, as where none does, it has no width: such answers say nothing of how far others would be
    apart.

    Raises ValueError when there is no benchmark, or one without items.
    """
    middle = mean_difference(strata)
    half = _quantile(confidence) * math.sqrt(math.fsum(map(_squared_error, strata)))
    return middle - half / len(strata), middle + half / len(strata)


def interval_of_answers(
    pairs: Sequence[tuple[PackedAnswers, PackedAnswers]], *, confidence: float = 0.95
) -> Interval | None:
    """`paired_interval` of two runs' answers, a pair a benchmark; None where it has no width.

    In closed form, for boards of many: d differing items of n with the mean m have the squares d - n m².
    """
    means, squared = [], 0.0
    for a, b in pairs:
        scored = a.scored & b.scored
        differing = (a.right ^ b.right) & scored
        n, count = scored.bit_count(), differing.bit_count()
        if a.items != b.items or not n:
            raise ValueError("the difference of no items, or of different ones, has no interval")
        means.append((2 * (a.right & differing).bit_count() - count) / n)
        squared += (count - n * means[-1] ** 2) / n**2
    if not squared:
        return None
    middle = math.fsum(means) / len(means)
    half = _quantile(confidence) * math.sqrt(squared) / len(means)
    return middle - half, middle + half


def randomisation_test(strata: Sequence[Differences], *, resamples: int = RESAMPLES, seed: int = 0) -> float:
    """Two-sided p value that two runs have the same plain mean over benchmarks.

    If they answer alike, each item's difference has either sign with the same chance: the share of random
    signs under which the means differ as much or more (Noreen 1989; Yeh 2000, arXiv cs/0008005), the observed
    ones counted in, so that it is never below 1 / (resamples + 1). For one benchmark it is the exact McNemar
    test but for the drawing. A bootstrap's own p value is too small where few items differ: nearly no
    resample of seven items that all favour one run favours the other, but one in 64 such outcomes is chance.

    Raises ValueError as `paired_interval` does, and without a resample.
    """
    _check(strata)
    if resamples < 1:
        raise ValueError("at least one resample is needed")
    import numpy

    generator = numpy.random.default_rng(seed)
    total = numpy.zeros(resamples)
    for stratum in strata:
        for value in sorted({abs(value) for value in stratum if value}):
            count = stratum.get(value, 0) + stratum.get(-value, 0)
            positive = generator.binomial(count, 0.5, size=resamples)
            total += (2 * positive - count) * (value / sum(stratum.values()) / len(strata))
    # Sums of the same differences differ in their last bits by the order of adding.
    as_extreme = int((numpy.abs(total) >= abs(mean_difference(strata)) - 1e-12).sum())
    return (1 + as_extreme) / (resamples + 1)


@cache
def _quantile(confidence: float) -> float:
    return NormalDist().inv_cdf((1 + confidence) / 2)


def _squared_error(stratum: Differences) -> float:
    """Of the mean of its differences."""
    n = sum(stratum.values())
    mean = math.fsum(value * count for value, count in stratum.items()) / n
    return math.fsum((value - mean) ** 2 * count for value, count in stratum.items()) / n**2


def _check(strata: Sequence[Differences]) -> None:
    if not strata or not all(sum(stratum.values()) > 0 for stratum in strata):
        raise ValueError("the difference of no items has no distribution")
