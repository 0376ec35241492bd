"""Several runs of one method that differ in the seed: their mean's interval, differences, and ranks."""

from __future__ import annotations

from statistics import mean, stdev

import numpy
import pytest
from scipy import stats

from evaluation.statistics import PackedAnswers, rank_ranges
from evaluation.statistics.seeds import (
    Run,
    apart_by_seed,
    difference_over_seeds,
    half_widths,
    mean_over_seeds,
)

STUDIES = 2_000


def packed(right: numpy.ndarray) -> PackedAnswers:
    everything = numpy.packbits(numpy.ones(right.size, bool)).tobytes()
    return PackedAnswers.from_bytes(right.size, numpy.packbits(right).tobytes(), everything)


class Method:
    """Answers right half of the time, to items that are new in each study, with a spread over seeds."""

    def __init__(self, seed: int, spread: float, items: tuple[int, ...] = (300, 100)) -> None:
        self.random = numpy.random.default_rng(seed)
        self.spread = spread
        self.items = items

    def study(self, *truths: float, runs: int) -> list[list[Run]]:
        """Runs of methods with those true means, all on the same items, which runs find hard alike."""
        difficulty = [self.random.uniform(0.25, 0.75, n) for n in self.items]
        luck = [self.random.random(n) for n in self.items]
        alike = [self.random.random(n) < 0.6 for n in self.items]

        def run(truth: float) -> Run:
            shift = truth - 0.5 + self.random.normal(0, self.spread)
            answers = []
            for chance, own, common in zip(difficulty, luck, alike, strict=True):
                drawn = numpy.where(common, own, self.random.random(own.size))
                answers.append(packed(drawn < chance + shift))
            return answers

        return [[run(truth) for _ in range(runs)] for truth in truths]


@pytest.mark.parametrize("spread", [0.0, 0.02, 0.06])
@pytest.mark.parametrize("runs", [3, 5])
def test_the_interval_covers_the_true_mean_in_about_95_of_100_studies(runs: int, spread: float) -> None:
    method = Method(7, spread)
    covered = 0
    for _ in range(STUDIES):
        low, high = mean_over_seeds(method.study(0.5, runs=runs)[0]).interval
        covered += low <= 0.5 <= high
    # A hundredth, and the simulation's own error of half of one.
    assert covered / STUDIES == pytest.approx(0.95, abs=0.0125)


@pytest.mark.parametrize("runs", [3, 4, 7, 10])
def test_an_error_is_as_rare_as_the_level_says_whatever_part_of_the_variance_is_the_seeds(runs: int) -> None:
    """In a normal model, by quadrature: the mean is N(0, 1), its variance by seeds is a share of 1."""
    freedom = runs - 1
    factors = stats.chi2.ppf((numpy.arange(2_000) + 0.5) / 2_000, freedom) / freedom
    for share in numpy.linspace(0, 1, 21):
        items = numpy.full(factors.size, 1 - share)
        for level in (0.05, 0.01, 0.001, 1e-5):
            limits = half_widths(items, [(share * factors, freedom)], level / 2)
            errors = float(2 * stats.norm.sf(limits).mean())
            assert errors <= 1.15 * level
            assert errors >= 0.9 * level or level < 0.05


def test_two_runs_promise_too_little_rather_than_too_much() -> None:
    method = Method(8, 0.03)
    covered = 0
    for _ in range(STUDIES):
        low, high = mean_over_seeds(method.study(0.5, runs=2)[0]).interval
        covered += low <= 0.5 <= high
    assert covered / STUDIES >= 0.95


def test_a_difference_of_methods_that_are_alike_is_found_as_often_as_the_level_says() -> None:
    method = Method(9, 0.03)
    found = 0
    for _ in range(STUDIES):
        estimate = difference_over_seeds(*method.study(0.5, 0.5, runs=3))
        found += abs(estimate.value) > estimate.half_width()
    assert 0.02 <= found / STUDIES <= 0.06


def test_the_p_value_is_where_the_interval_ends_at_no_difference() -> None:
    estimate = difference_over_seeds(*Method(1, 0.02).study(0.5, 0.53, runs=3))
    low, high = estimate.interval(1 - estimate.p_value)
    assert min(abs(low), abs(high)) == pytest.approx(0, abs=1e-9)
    assert 1e-6 < estimate.p_value < 1


def test_runs_without_a_spread_give_the_paired_interval_of_the_items() -> None:
    a, b = (runs[0] for runs in Method(2, 0.0).study(0.5, 0.6, runs=1))
    estimate = difference_over_seeds([a], [b])
    differences = [
        numpy.unpackbits(numpy.frombuffer(x.right_bytes, numpy.uint8), count=x.items).astype(float)
        - numpy.unpackbits(numpy.frombuffer(y.right_bytes, numpy.uint8), count=y.items)
        for x, y in zip(a, b, strict=True)
    ]
    stderr = numpy.sqrt(sum(d.var(ddof=1) / d.size for d in differences)) / 2
    assert estimate.interval() == pytest.approx(
        (estimate.value - 1.959964 * stderr, estimate.value + 1.959964 * stderr)
    )


def test_where_items_say_nothing_the_interval_is_students() -> None:
    """Every item is right in a run or none is: the runs alone vary, and three have two degrees of freedom."""
    n = 64
    runs = [[packed(numpy.full(n, right))] for right in (True, True, False)]
    estimate = difference_over_seeds(runs, [[packed(numpy.zeros(n, bool))]])
    expected = stats.t.ppf(0.975, 2) * stdev([1, 1, 0]) / 3**0.5
    assert estimate.value == pytest.approx(2 / 3)
    assert estimate.half_width() == pytest.approx(expected)
    assert mean_over_seeds(runs).interval == (pytest.approx(max(0, 2 / 3 - expected)), 1.0)


def test_the_mean_is_over_runs_of_the_mean_over_benchmarks() -> None:
    runs = Method(3, 0.05).study(0.5, runs=4)[0]
    averages = [mean(answers.right_count / answers.items for answers in run) for run in runs]
    found = mean_over_seeds(runs)
    assert found.value == pytest.approx(mean(averages))
    assert found.spread == pytest.approx(stdev(averages))
    assert found.runs == 4


def test_two_more_runs_lie_apart_as_the_spread_of_others_says() -> None:
    random = numpy.random.default_rng(4)
    drawn = random.normal(0.4, 0.01, (STUDIES, 6))
    inside = sum(abs(row[4] - row[5]) <= apart_by_seed(row[:4].tolist()) for row in drawn)
    assert inside / STUDIES == pytest.approx(0.95, abs=0.015)


def test_all_true_ranks_lie_in_their_ranges_at_once() -> None:
    method, wrong, studies = Method(5, 0.02, (200, 100)), 0, 300
    truths = (0.5, 0.5, 0.52, 0.48)
    for _ in range(studies):
        entries = method.study(*truths, runs=3)
        found = rank_ranges([runs[0] for runs in entries], {e: runs[1:] for e, runs in enumerate(entries)})
        wrong += any(
            place.best > 1 + sum(other > truth for other in truths)
            or place.worst < len(truths) - sum(other < truth for other in truths)
            for place, truth in zip(found, truths, strict=True)
        )
    assert wrong / studies <= 0.05


def test_methods_far_apart_are_told_apart_beside_entries_of_one_run() -> None:
    far, near, low = Method(6, 0.01, (2000, 500)).study(0.7, 0.5, 0.3, runs=3)
    ranges = rank_ranges([near[0], far[0], low[0]], {1: far[1:], 2: low[1:]})
    assert [(place.best, place.worst) for place in ranges] == [(2, 2), (1, 1), (3, 3)]


def test_runs_of_other_items_are_refused() -> None:
    one, other = packed(numpy.ones(8, bool)), packed(numpy.ones(9, bool))
    with pytest.raises(ValueError, match="same benchmarks"):
        mean_over_seeds([[one], [other]])
    with pytest.raises(ValueError, match="same items"):
        difference_over_seeds([[one]], [[other]])
    with pytest.raises(ValueError, match="two runs"):
        mean_over_seeds([[one]])
