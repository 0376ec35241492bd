"""Several runs of one method that differ in their seed only: how sure their mean is, over items and runs.

Runs and items are crossed: every run answers the same items. The mean over runs and items varies with the
items that a benchmark happens to hold and with the seeds that happened to be drawn; its variance is

    V = V_items + V_runs

V_runs:  of the runs' averages, s²/R.
V_items: of the items' mean answers over the runs, the sum over the K benchmarks of s²/n/K², less what each
         run does otherwise on each item, which is in V_runs already: the residual mean square of the two-way
         layout without replication (Searle, Casella & McCulloch 1992, chapter 4), over R n K².

With few runs their variance is badly known. A hierarchical bootstrap, which draws runs and items anew,
covers 96 to 89 in a hundred at three runs, the less the more they differ. Two closed forms bracket the right
half-width h. Welch's (1947, doi:10.1093/biomet/34.1-2.28), t(f) √V with f = V² / Σ V_runs²/(R-1), is a little
narrow. Adding the squares of the parts' own half-widths, as MOVER does (Zou & Donner 2008,
doi:10.1002/sim.3095), √(z² V_items + t(R-1)² V_runs), is a little wide. Together,

    h = w MOVER + (1-w) Welch,  w = 3.25 u (R-1)^(-0.8) - 0.46 (R-1)^(-0.5) within 0 and 1,  u = V_runs / V

they cover 94.7 to 95.4 in a hundred from three runs on, whatever u truly is, in a normal model; the two
constants and two powers were chosen for that. Of two runs w is 1, which gives 95 to 99.

Beyond 95%, as where many pairs are tested at once, Welch's form grows too narrow: with α/2 the tail outside
one limit, 1-w is multiplied by √(α/0.05). Errors are then at most an eighth more frequent than α.

In the difference of two methods with several runs each, R-1 becomes F = V_runs² / Σ V_r²/(R_r-1), and
t² V_runs is mixed of t(F)² V_runs and Σ t(R_r-1)² V_r, the latter with the weight (R-1)^(-3/2) of the fewer
runs. From three runs each on that covers 94 to 98 in a hundred, the most where the items hardly count.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist, stdev
from typing import TYPE_CHECKING, Any

from evaluation.statistics.packed import PackedAnswers
from evaluation.statistics.proportions import Interval, attempts_interval, combined_interval

if TYPE_CHECKING:
    import numpy
    from numpy.typing import NDArray

    SeedsOfMany = tuple[NDArray[numpy.float64], int]
    """`Seeds` of many estimates: their variances, and the degrees of freedom that all have."""

Run = Sequence[PackedAnswers]
"""A run's complete answers, a benchmark each."""

_HALVINGS = 60
_TAIL = 0.025  # beyond each limit of an interval of 95%


@dataclass(frozen=True)
class Seeds:
    """The variance of a mean over runs that differ in their seed, and the degrees of freedom that it has."""

    variance: float
    freedom: int


@dataclass(frozen=True)
class Estimate:
    """A mean over runs and benchmarks, or the difference of two, with the parts of its variance."""

    value: float
    items: float
    seeds: tuple[Seeds, ...] = ()

    def half_width(self, confidence: float = 0.95) -> float:
        """Half of the interval's width: h in this module's description."""
        return _half_width(self, (1 - confidence) / 2)

    def interval(self, confidence: float = 0.95) -> Interval:
        """`value` ± h, within -1 and 1; of a mean of proportions see `mean_over_seeds`."""
        half = self.half_width(confidence)
        return max(-1.0, self.value - half), min(1.0, self.value + half)

    @property
    def p_value(self) -> float:
        """Two-sided, that the true value is 0: 1 less the confidence whose interval ends there.

        1 where nothing varies.
        """
        if not (self.items or self.seeds) or not self.value:
            return 1.0
        return float(p_values(_one(self.value), _one(self.items), _seeds_of_one(self.seeds))[0])


@dataclass(frozen=True)
class SeedMean:
    """The mean over runs with its interval; `spread` is the standard deviation of the runs' averages."""

    value: float
    interval: Interval
    spread: float
    runs: int


def mean_over_seeds(runs: Sequence[Run], *, confidence: float = 0.95) -> SeedMean:
    """The mean of the runs' plain means over benchmarks, with its interval over items and runs.

    The interval keeps the asymmetry of Wilson's limits for the items and stays inside [0, 1]. Raises
    ValueError for fewer than two runs, or incomplete or unlike answers.
    """
    if len(runs) < 2:
        raise ValueError("the spread over seeds needs two runs at least")
    answers = RunAnswers.of(runs)
    estimate = answers.estimate()
    means = [float(each.mean()) for each in answers.by_item]
    limits = [
        attempts_interval(mean, math.sqrt(variance), each.size, len(runs), confidence)
        for mean, variance, each in zip(means, answers.of_items(), answers.by_item, strict=True)
    ]
    low, high = combined_interval(means, limits)
    # The items' part of h, z √V_items, is replaced on each side by Wilson's, everything else stays.
    half = estimate.half_width(confidence)
    by_items = NormalDist().inv_cdf((1 + confidence) / 2) * math.sqrt(estimate.items)
    rest = max(0.0, half**2 - by_items**2)
    below, above = (math.sqrt((limit - estimate.value) ** 2 + rest) for limit in (low, high))
    spread = math.sqrt(estimate.seeds[0].variance * len(runs))
    interval = max(0.0, estimate.value - below), min(1.0, estimate.value + above)
    return SeedMean(estimate.value, interval, spread, len(runs))


def difference_over_seeds(a: Sequence[Run], b: Sequence[Run]) -> Estimate:
    """a's mean less b's, over the items that are the same for both and over the runs of each.

    One run alone says nothing of its seed: it counts as if every seed gave the same. Raises ValueError for
    incomplete or unlike answers.
    """
    first, second = RunAnswers.of(a), RunAnswers.of(b)
    if first.shape != second.shape:
        raise ValueError("paired answers are to the same items")
    value = first.mean - second.mean
    pairs = zip(first.by_item, second.by_item, strict=True)
    apart = [_of_mean(own - other) for own, other in pairs]
    of_items = [
        max(0.0, variance - left - others_left)
        for variance, left, others_left in zip(apart, first.residual, second.residual, strict=True)
    ]
    return Estimate(value, sum(of_items) / len(apart) ** 2, (*first.seeds(), *second.seeds()))


def apart_by_seed(averages: Sequence[float], *, confidence: float = 0.95) -> float:
    """How far two runs may lie apart by their seeds alone, by the spread s of these R runs: t(R-1) s √2.

    Raises ValueError for fewer than two runs.
    """
    from scipy.special import stdtrit

    count = len(averages)
    if count < 2:
        raise ValueError("the spread over seeds needs two runs at least")
    return float(stdtrit(count - 1, (1 + confidence) / 2)) * stdev(averages) * math.sqrt(2)


@dataclass(frozen=True)
class RunAnswers:
    """Runs' answers: `by_item` the mean over runs of each item, an array for each benchmark."""

    runs: int
    averages: NDArray[numpy.float64]
    by_item: list[NDArray[numpy.float64]]
    residual: list[float]  # what runs do otherwise on single items: part of both variances

    @classmethod
    def of(cls, runs: Sequence[Run]) -> RunAnswers:
        import numpy

        _check(runs)
        count, benchmarks = len(runs), len(runs[0])
        averages = numpy.zeros(count)
        by_item, residual = [], []
        for k in range(benchmarks):
            right = numpy.stack([unpacked(run[k]) for run in runs])
            of_runs, of_items = right.mean(1), right.mean(0)
            averages += of_runs / benchmarks
            by_item.append(of_items)
            n = of_items.size
            left = right - of_runs[:, None] - of_items + of_runs.mean()
            free = max(1, (count - 1) * (n - 1))
            residual.append(float((left**2).sum()) / free / (count * n))
        return cls(count, averages, by_item, residual)

    @property
    def mean(self) -> float:
        return float(self.averages.mean())

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(each.size for each in self.by_item)

    def seeds(self) -> tuple[Seeds, ...]:
        if self.runs < 2:
            return ()
        return (Seeds(float(self.averages.var(ddof=1)) / self.runs, self.runs - 1),)

    def estimate(self) -> Estimate:
        return Estimate(self.mean, sum(self.of_items()) / len(self.by_item) ** 2, self.seeds())

    def of_items(self) -> list[float]:
        """Each benchmark's variance by the choice of its items."""
        return [
            max(0.0, _of_mean(each) - left) for each, left in zip(self.by_item, self.residual, strict=True)
        ]


def unpacked(answers: PackedAnswers) -> NDArray[numpy.float64]:
    """1 for a right item, 0 for another, shape (items,)."""
    import numpy

    bits = numpy.unpackbits(numpy.frombuffer(answers.right_bytes, numpy.uint8), count=answers.items)
    return bits.astype(float)


def half_widths(
    items: NDArray[numpy.float64],
    seeds: Sequence[SeedsOfMany],
    tail: float | NDArray[numpy.float64],
) -> NDArray[numpy.float64]:
    """h of many estimates at once, the value that its error exceeds with the probability `tail`.

    `items` are their variances by the items, `seeds` those by the seeds with the degrees of freedom of each.
    """
    import numpy
    from scipy.special import ndtri, stdtrit

    z = -ndtri(tail)
    by_seed = sum((part for part, _ in seeds), numpy.zeros_like(items))
    if not by_seed.any():
        none: NDArray[numpy.float64] = z * numpy.sqrt(items)
        return none
    variance = items + by_seed
    share = by_seed / numpy.where(variance > 0, variance, 1)
    fewest = min(freedom for _, freedom in seeds)
    freedom: Any = fewest
    if len(seeds) > 1:
        uncertain = sum(part**2 / own for part, own in seeds)
        freedom = numpy.divide(by_seed**2, uncertain, out=numpy.full_like(items, fewest), where=uncertain > 0)
    with numpy.errstate(divide="ignore"):
        welch = -stdtrit(freedom / share**2, tail) * numpy.sqrt(variance)
    apart = sum(stdtrit(own, tail) ** 2 * part for part, own in seeds)
    kept = fewest**-1.5
    mover = numpy.sqrt(z**2 * items + kept * apart + (1 - kept) * stdtrit(freedom, tail) ** 2 * by_seed)
    weight = 1.0 if fewest == 1 else (3.25 * freedom**-0.8 * share - 0.46 * freedom**-0.5).clip(0, 1)
    rest = (1 - weight) * numpy.sqrt(numpy.minimum(1, tail / _TAIL))
    widths: NDArray[numpy.float64] = (1 - rest) * mover + rest * welch
    return widths


def p_values(
    values: NDArray[numpy.float64], items: NDArray[numpy.float64], seeds: Sequence[SeedsOfMany]
) -> NDArray[numpy.float64]:
    """`Estimate.p_value` of many at once, none of which is 0."""
    import numpy

    lowest, highest = numpy.full(values.shape, -300.0), numpy.zeros(values.shape)  # of the logarithm
    for _ in range(_HALVINGS):
        middle = (lowest + highest) / 2
        outside = half_widths(items, seeds, numpy.exp(middle) / 2) < abs(values)
        lowest, highest = numpy.where(outside, lowest, middle), numpy.where(outside, middle, highest)
    return numpy.exp(highest)


def _half_width(estimate: Estimate, tail: float) -> float:
    return float(half_widths(_one(estimate.items), _seeds_of_one(estimate.seeds), tail)[0])


def _one(figure: float) -> NDArray[numpy.float64]:
    import numpy

    return numpy.array([figure])


def _seeds_of_one(seeds: Sequence[Seeds]) -> list[SeedsOfMany]:
    return [(_one(part.variance), part.freedom) for part in seeds]


def _of_mean(values: NDArray[numpy.float64]) -> float:
    """The variance of the mean of independent values; 0 for one."""
    return float(values.var(ddof=1)) / values.size if values.size > 1 else 0.0


def _check(runs: Sequence[Run]) -> None:
    shapes = {tuple(answers.items for answers in run) for run in runs}
    if len(shapes) != 1 or () in shapes:
        raise ValueError("runs of one method answer the same benchmarks, at least one")
    if not all(answers.complete for run in runs for answers in run):
        raise ValueError("a run with unscored items has no mean")
