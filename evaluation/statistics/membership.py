"""How well a score tells members from others: the area under the curve, and the true positives at few false.

What they bound is chance in which rows were looked at, not in the training run.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import TYPE_CHECKING

from evaluation.statistics.proportions import Interval

if TYPE_CHECKING:
    import numpy
    from numpy.typing import NDArray

_HALVINGS = 40


@dataclass(frozen=True)
class Rate:
    """A proportion with its 95% interval; None where the rows cannot tell one."""

    value: float
    interval: Interval | None


def area_under_curve(members: Sequence[float], others: Sequence[float], confidence: float = 0.95) -> Rate:
    """The chance that a member scores higher than another row, ties counting half; 0.5 tells nothing.

    The interval is the wider, at each end, of two that are of Wilson's form: the points θ from which the
    observed area is no more than z standard errors away, these growing as θ(1 - θ) does. One takes the
    variance from how often each row is above those of the other kind (DeLong et al. 1988,
    doi:10.2307/2531595), the other that of Hanley and McNeil as Newcombe has it (2006, doi:10.1002/sim.2324,
    method 5). DeLong's alone is too short where nearly all rows are told apart, and by the usual normal
    approximation holds the true area in as few as 67 of 100 cases there; Newcombe's alone where the two kinds
    scatter unlike. Where all scores are equal there is none. Raises ValueError with fewer than two rows of a
    kind, or scores that are no finite numbers.
    """
    import numpy

    a, b = _arrays(members, others)
    m, n = len(a), len(b)
    of_members, of_others = _placements(a, b), 1 - _placements(b, a)
    value = float(of_members.mean())
    if min(a.min(), b.min()) == max(a.max(), b.max()):
        return Rate(value, None)
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    ends = [_newcombe(value, m, n, z)]
    variance = float(of_members.var(ddof=1)) / m + float(of_others.var(ddof=1)) / n
    if variance and 0 < value < 1:
        ends.append(_wilson(value, value * (1 - value) / variance, z))
    lows, highs = numpy.array(ends).T
    return Rate(value, (float(min(value, *lows)), float(max(value, *highs))))


def true_positives(
    members: Sequence[float],
    others: Sequence[float],
    false_positives: float = 0.01,
    *,
    confidence: float = 0.95,
) -> Rate:
    """The share of members above a threshold that at most that share of the other rows is above.

    At few false positives it says whether some rows are told for sure, which an area does not (Carlini et al.
    2022, arXiv 2112.03570). The interval covers two chances: where among the others the threshold of all such
    rows lies, by the binomial distribution of how many are above it, and which members were looked at, by
    Wilson. They are combined as Zou and Donner do (2008, doi:10.1002/sim.3095). So few others that none can
    be told to be above the threshold leave the lower end at 0. It holds in 95 of 100 cases or more, in 89 or
    more where most scores equal others. Raises ValueError as `area_under_curve` does.
    """
    import numpy

    a, b = _arrays(members, others)
    descending = numpy.sort(b)[::-1]
    tail = (1 - confidence) / 2
    strict, lax = _threshold_places(len(b), false_positives, tail)

    def share(place: int) -> float:
        return float((a > descending[place]).mean())

    value = share(math.floor(false_positives * len(b)))
    least = share(strict) if strict is not None else 0.0
    most = share(lax) if lax is not None else 1.0
    low, high = _wilson(value, len(a), NormalDist().inv_cdf(1 - tail))
    return Rate(
        value,
        (
            max(0.0, value - math.hypot(value - low, value - least)),
            min(1.0, value + math.hypot(high - value, most - value)),
        ),
    )


def _threshold_places(n: int, share: float, tail: float) -> tuple[int | None, int | None]:
    """Between which of n values, counted from the highest, the threshold lies that a `share` of all such
    values is above, but for a chance of `tail` at each end; None where no value bounds it."""
    strict = lax = None
    up_to = 0.0
    for above in range(n):  # so many of the n are above the threshold
        up_to += math.comb(n, above) * share**above * (1 - share) ** (n - above)
        if up_to <= tail:
            strict = above
        if 1 - up_to <= tail:
            lax = above
            break
    return strict, lax


def _wilson(value: float, n: float, z: float) -> Interval:
    """Of a proportion of n rows, or of as many as its variance is that of."""
    middle, scale = value + z * z / (2 * n), 1 + z * z / n
    half = z * math.sqrt(value * (1 - value) / n + z * z / (4 * n * n))
    return (middle - half) / scale, (middle + half) / scale


def _newcombe(value: float, m: int, n: int, z: float) -> Interval:
    """By the variance that an area would have, were it θ and both kinds as exponential as each other."""
    spread = (m + n) / 2 - 1

    def is_inside(area: float) -> bool:
        shape = 1 + spread * ((1 - area) / (2 - area) + area / (1 + area))
        return (value - area) ** 2 <= z * z * area * (1 - area) * shape / (m * n)

    return _last_inside(is_inside, value, 0.0), _last_inside(is_inside, value, 1.0)


def _last_inside(is_inside: Callable[[float], bool], inside: float, outside: float) -> float:
    for _ in range(_HALVINGS):
        middle = (inside + outside) / 2
        if is_inside(middle):
            inside = middle
        else:
            outside = middle
    return outside


def _placements(of: NDArray[numpy.float64], among: NDArray[numpy.float64]) -> NDArray[numpy.float64]:
    """Of each value the share of the others that it is above, equal ones counting half."""
    import numpy

    ordered = numpy.sort(among)
    below = numpy.searchsorted(ordered, of, "left")
    up_to = numpy.searchsorted(ordered, of, "right")
    return numpy.asarray((below + up_to) / (2 * len(among)))


def _arrays(
    members: Sequence[float], others: Sequence[float]
) -> tuple[NDArray[numpy.float64], NDArray[numpy.float64]]:
    import numpy

    if min(len(members), len(others)) < 2:
        raise ValueError("at least two members and two others are needed")
    a, b = numpy.asarray(members, dtype=float), numpy.asarray(others, dtype=float)
    if not (numpy.isfinite(a).all() and numpy.isfinite(b).all()):
        raise ValueError("scores are finite numbers")
    return a, b
