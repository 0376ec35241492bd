"""How well a score tells members from others: the area under the curve, and the true positives at few false.

What they bound is chance in which rows were looked at, not in the training run.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import TYPE_CHECKING

from evaluation.statistics.proportions import Interval

if TYPE_CHECKING:
    import numpy
    from numpy.typing import NDArray

RESAMPLES = 1_999


@dataclass(frozen=True)
class Rate:
    """A proportion with its 95% interval; None where the rows vary too little to tell one."""

    value: float
    interval: Interval | None


def area_under_curve(members: Sequence[float], others: Sequence[float], confidence: float = 0.95) -> Rate:
    """The chance that a member scores higher than another row, ties counting half; 0.5 tells nothing.

    The interval is that of DeLong et al. (1988, doi:10.2307/2531595): the variance from how often each row is
    above those of the other kind, by a normal approximation, cut off at 0 and 1. There is none where every
    member is above every other row, or below. Raises ValueError with fewer than two rows of a kind.
    """
    import numpy

    _check(members, others)
    m, n = len(members), len(others)
    a, b = numpy.asarray(members, dtype=float), numpy.asarray(others, dtype=float)
    of_members, of_others = _placements(a, b), 1 - _placements(b, a)
    value = float(of_members.mean())
    variance = float(of_members.var(ddof=1)) / m + float(of_others.var(ddof=1)) / n
    if not variance:
        return Rate(value, None)
    half = NormalDist().inv_cdf((1 + confidence) / 2) * math.sqrt(variance)
    return Rate(value, (max(0.0, value - half), min(1.0, value + half)))


def true_positives(
    members: Sequence[float],
    others: Sequence[float],
    false_positives: float = 0.01,
    *,
    confidence: float = 0.95,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Rate:
    """The share of members above a threshold that at most that share of the other rows is above.

    At few false positives it says whether some rows are told for sure, which an area does not (Carlini et al.
    2022, arXiv 2112.03570). The interval is a percentile bootstrap over members and others apart, each
    resample with a threshold of its own. Equal input and seed give equal output. Raises ValueError as
    `area_under_curve` does.
    """
    import numpy

    _check(members, others)
    a, b = numpy.sort(numpy.asarray(members, dtype=float)), numpy.sort(numpy.asarray(others, dtype=float))
    allowed = math.floor(false_positives * len(b))
    generator = numpy.random.default_rng(seed)
    drawn_others = numpy.sort(b[generator.integers(len(b), size=(resamples, len(b)))], axis=1)
    thresholds = drawn_others[:, -1 - allowed]
    drawn_members = a[generator.integers(len(a), size=(resamples, len(a)))]
    rates = numpy.sort((drawn_members > thresholds[:, None]).mean(axis=1))
    outside = max(0, math.floor((1 - confidence) / 2 * (resamples + 1)) - 1)
    value = float((a > b[-1 - allowed]).mean())
    return Rate(value, (float(rates[outside]), float(rates[-1 - outside])))


def _placements(of: NDArray[numpy.float64], among: NDArray[numpy.float64]) -> NDArray[numpy.float64]:
    """Of each value the share of the others that it is above, equal ones counting half."""
    import numpy

    ordered = numpy.sort(among)
    below = numpy.searchsorted(ordered, of, "left")
    up_to = numpy.searchsorted(ordered, of, "right")
    return numpy.asarray((below + up_to) / (2 * len(among)))


def _check(members: Sequence[float], others: Sequence[float]) -> None:
    if min(len(members), len(others)) < 2:
        raise ValueError("at least two members and two others are needed")
