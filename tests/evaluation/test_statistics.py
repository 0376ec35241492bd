"""Standard errors and intervals agree with known values and behave at the ends."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from evaluation.statistics import binomial_stderr, mean_interval, wilson_interval

counts = st.integers(1, 5_000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))


def test_the_standard_error_of_half_of_a_hundred_is_a_twentieth() -> None:
    assert binomial_stderr(50, 100) == pytest.approx(0.05)
    assert binomial_stderr(0, 10) == 0


@given(counts)
def test_the_wilson_interval_is_scipys(count: tuple[int, int]) -> None:
    correct, n = count
    expected = binomtest(correct, n).proportion_ci(0.95, method="wilson")
    assert wilson_interval(correct, n) == pytest.approx((expected.low, expected.high), abs=1e-12)


def test_the_interval_of_a_mean_is_a_published_one() -> None:
    """Newcombe 1998 (doi:10.1002/sim.779, example a): 56/70 - 48/80 has the interval 0.0524 to 0.3339.

    A difference is twice the mean of a proportion and the complement of the other, less 1.
    """
    low, high = mean_interval([(56, 70), (80 - 48, 80)])
    assert (2 * low - 1, 2 * high - 1) == pytest.approx((0.0524, 0.3339), abs=5e-5)


def test_the_interval_of_one_proportion_is_its_own() -> None:
    assert mean_interval([(7, 40)]) == pytest.approx(wilson_interval(7, 40))


@given(st.lists(counts, min_size=1, max_size=6))
def test_the_interval_of_a_mean_holds_the_mean_and_has_width(sample: list[tuple[int, int]]) -> None:
    low, high = mean_interval(sample)
    mean = math.fsum(correct / n for correct, n in sample) / len(sample)
    assert 0 <= low <= mean + 1e-12
    assert mean - 1e-12 <= high <= 1
    assert high - low > 0


@pytest.mark.parametrize(("correct", "n"), [(1, 0), (-1, 3), (4, 3)])
def test_impossible_counts_are_refused(correct: int, n: int) -> None:
    with pytest.raises(ValueError, match="not a proportion"):
        binomial_stderr(correct, n)


def test_the_mean_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="no proportions"):
        mean_interval([])
