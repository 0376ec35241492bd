"""Errors and intervals of scores: pure functions of counts, light to import.

All scores are proportions in [0, 1].
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import NormalDist

Interval = tuple[float, float]


def binomial_stderr(correct: int, n: int) -> float:
    """Standard error sqrt(p(1-p)/n) of the proportion `correct / n`."""
    _check(correct, n)
    p = correct / n
    return math.sqrt(p * (1 - p) / n)


def wilson_interval(correct: int, n: int, confidence: float = 0.95) -> Interval:
    """Score interval of a proportion (Wilson 1927): stays inside [0, 1] and has width at 0 and at n."""
    _check(correct, n)
    # Written out, not taken from scipy.stats, whose import would cost the web process a second and 60 MB.
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    p = correct / n
    centre = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n)) / (1 + z * z / n)
    # The limits are exact at the ends; rounding must not move them.
    low = 0.0 if correct == 0 else max(0.0, centre - half)
    high = 1.0 if correct == n else min(1.0, centre + half)
    return low, high


def mean_interval(counts: Sequence[tuple[int, int]], confidence: float = 0.95) -> Interval:
    """Interval of the plain mean of independent proportions, each given as (correct, n).

    MOVER, also called square-and-add (Zou & Donner 2008, doi:10.1002/sim.3095), on Wilson limits: it
    keeps their asymmetry and, unlike mean ± 1.96 standard errors, has width when every proportion is 0 or 1.
    """
    if not counts:
        raise ValueError("the mean of no proportions has no interval")
    mean = math.fsum(correct / n for correct, n in counts) / len(counts)
    below = above = 0.0
    for correct, n in counts:
        low, high = wilson_interval(correct, n, confidence)
        below += (correct / n - low) ** 2
        above += (high - correct / n) ** 2
    return (
        max(0.0, mean - math.sqrt(below) / len(counts)),
        min(1.0, mean + math.sqrt(above) / len(counts)),
    )


def _check(correct: int, n: int) -> None:
    if n <= 0 or not 0 <= correct <= n:
        raise ValueError(f"{correct} correct of {n} is not a proportion")
