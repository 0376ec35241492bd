"""Errors, intervals, tests and ranks agree with known values and behave at the ends."""

from __future__ import annotations

import base64
import itertools
import math
from collections.abc import Sequence

import numpy
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.stats import binomtest
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.multitest import multipletests

from evaluation.statistics import (
    Discordance,
    PackedAnswers,
    attempts_interval,
    binomial_stderr,
    combined_interval,
    differences,
    discordance,
    holm,
    mcnemar_exact,
    mean_and_stderr,
    mean_difference,
    mean_interval,
    paired_interval,
    pass_at_k,
    randomisation_test,
    wilson_interval,
)
from tests.profiles import examples
from tests.work import lines_run

counts = st.integers(1, 5_000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))
few = st.integers(0, 400)
p_values = st.lists(st.floats(0, 1), min_size=1, max_size=12)


def pack(flags: Sequence[bool] | NDArray[numpy.bool_], scored: Sequence[bool] | None = None) -> PackedAnswers:
    """Answers as a worker stores them."""
    seen = [True] * len(flags) if scored is None else list(scored)
    right = numpy.packbits(numpy.array(flags, dtype=bool)).tobytes()
    return PackedAnswers.from_bytes(len(flags), right, numpy.packbits(numpy.array(seen)).tobytes())


# One score


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
    with pytest.raises(ValueError, match="no proportions"):
        combined_interval([], [])


# Several attempts an item


@given(st.integers(1, 12).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n), st.integers(1, n))))
def test_pass_at_k_is_the_share_of_choices_that_hold_a_pass(case: tuple[int, int, int]) -> None:
    n, passed, k = case
    choices = list(itertools.combinations([True] * passed + [False] * (n - passed), k))
    assert pass_at_k(n, passed, k) == pytest.approx(sum(map(any, choices)) / len(choices))


@given(st.integers(1, 200).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n))))
def test_pass_at_k_grows_with_k_and_starts_at_the_share(case: tuple[int, int]) -> None:
    n, passed = case
    values = [pass_at_k(n, passed, k) for k in range(1, n + 1)]
    assert values[0] == pytest.approx(passed / n)
    assert values == sorted(values)
    assert values[-1] == (passed > 0)


@pytest.mark.parametrize(("n", "passed", "k"), [(5, 2, 6), (5, 2, 0), (5, 6, 1), (5, -1, 1)])
def test_pass_at_k_of_impossible_counts_is_refused(n: int, passed: int, k: int) -> None:
    with pytest.raises(ValueError, match="not defined"):
        pass_at_k(n, passed, k)


def test_the_standard_error_of_a_mean_is_scipys() -> None:
    values = [0.1, 0.4, 0.4, 1.0]
    mean, stderr = mean_and_stderr(values)
    assert (mean, stderr) == pytest.approx((numpy.mean(values), scipy.stats.sem(values)))
    assert mean_and_stderr([0.3]) == (0.3, 0.0)


@given(counts)
def test_the_interval_of_one_attempt_an_item_is_wilsons(count: tuple[int, int]) -> None:
    correct, n = count
    mean, stderr = mean_and_stderr([1.0] * correct + [0.0] * (n - correct))
    assert attempts_interval(mean, stderr, n, 1) == pytest.approx(wilson_interval(correct, n))


@given(st.lists(st.integers(0, 5), min_size=2, max_size=60))
def test_more_attempts_narrow_an_interval_but_never_beyond_their_number(passed: list[int]) -> None:
    values = [count / 5 for count in passed]
    mean, stderr = mean_and_stderr(values)
    low, high = attempts_interval(mean, stderr, len(values), 5)
    most_low, most_high = wilson_interval(sum(passed), 5 * len(passed))
    assert 0 <= low <= mean + 1e-12
    assert mean - 1e-12 <= high <= 1
    assert high - low >= most_high - most_low - 1e-12


def test_the_interval_has_width_where_nothing_passed() -> None:
    assert attempts_interval(0.0, 0.0, 161, 20) == wilson_interval(0, 161)


# Two runs


@given(st.lists(st.tuples(st.booleans(), st.booleans(), st.booleans(), st.booleans()), min_size=1))
def test_packed_answers_are_counted_as_the_flags_say(rows: list[tuple[bool, bool, bool, bool]]) -> None:
    scored_a, scored_b = [row[2] for row in rows], [row[3] for row in rows]
    right_a = [row[0] and row[2] for row in rows]
    right_b = [row[1] and row[3] for row in rows]
    a, b = pack(right_a, scored_a), pack(right_b, scored_b)
    both = [(x, y) for x, y, s, t in zip(right_a, right_b, scored_a, scored_b, strict=True) if s and t]
    assert discordance(a, b) == Discordance(
        len(both), both.count((True, True)), both.count((True, False)), both.count((False, True))
    )
    assert (a.right_count, a.scored_count, a.complete) == (sum(right_a), sum(scored_a), all(scored_a))
    assert a.right_bytes == numpy.packbits(numpy.array(right_a)).tobytes()


def test_packed_answers_are_read_from_a_results_file() -> None:
    full, right = (base64.b64encode(bytes(bits)).decode() for bits in ([0xFF, 0xC0], [0x81, 0x40]))
    assert PackedAnswers.from_base64(10, right, full) == pack([i in (0, 7, 9) for i in range(10)])


@pytest.mark.parametrize(
    ("items", "right", "scored", "message"),
    [
        (10, b"\xff\xff", b"\xff\xc0", "beyond the 10 items"),
        (10, b"\xff", b"\xff\xc0", "take 2 bytes of bits, not 1"),
        (8, b"\xff", b"\xf0", "right that is not scored"),
        (0, b"", b"", "no number of items"),
    ],
)
def test_damaged_bits_are_refused(items: int, right: bytes, scored: bytes, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        PackedAnswers.from_bytes(items, right, scored)


def test_runs_on_different_numbers_of_items_are_not_paired() -> None:
    with pytest.raises(ValueError, match="cannot be paired"):
        discordance(pack([True]), pack([True, False]))


@given(few, few)
def test_mcnemars_test_is_that_of_scipy_and_statsmodels(only_a: int, only_b: int) -> None:
    p = mcnemar_exact(only_a, only_b)
    assert p == mcnemar_exact(only_b, only_a)
    if only_a + only_b:
        assert p == pytest.approx(binomtest(only_a, only_a + only_b).pvalue, rel=1e-9)
        assert p == pytest.approx(mcnemar([[0, only_a], [only_b, 0]], exact=True).pvalue, rel=1e-9)
    else:
        assert p == 1


@given(few, few)
def test_the_more_one_sided_the_smaller_is_mcnemars_p(only_a: int, only_b: int) -> None:
    high, low = max(only_a, only_b), min(only_a, only_b)
    assert mcnemar_exact(high + 1, low) <= mcnemar_exact(high, low) <= mcnemar_exact(high, low + 1)


def test_mcnemars_test_of_many_items_is_exact_and_quick() -> None:
    assert mcnemar_exact(2_600, 2_400) == pytest.approx(binomtest(2_600, 5_000).pvalue, rel=1e-9)
    assert mcnemar_exact(5_000, 0) == 0.0  # 2 to the power -4999 has no floating-point number
    assert lines_run(lambda: mcnemar_exact(2_600, 2_400)) < 20_000


@settings(max_examples=examples(15))  # statsmodels takes a fifth of a second for each
@given(p_values)
def test_holms_correction_is_that_of_statsmodels(values: list[float]) -> None:
    assert holm(values) == pytest.approx(multipletests(values, method="holm")[1])


@given(p_values, st.randoms())
def test_holms_correction_keeps_the_order_and_never_lowers(values: list[float], random: object) -> None:
    adjusted = holm(values)
    assert all(value <= corrected <= 1 for value, corrected in zip(values, adjusted, strict=True))
    pairs = sorted(zip(values, adjusted, strict=True))
    assert [corrected for _, corrected in pairs] == sorted(adjusted)
    assert holm(values[::-1]) == adjusted[::-1]


def test_holm_refuses_what_is_no_p_value() -> None:
    with pytest.raises(ValueError, match=r"lies in \[0, 1\]"):
        holm([0.5, 1.5])


STRATA = [Discordance(500, 200, 60, 30), Discordance(4_000, 1_000, 500, 480), Discordance(45, 10, 9, 3)]


def test_the_paired_interval_is_the_normal_one_of_the_differences() -> None:
    samples = [
        numpy.repeat([1.0, -1.0, 0.0], [s.only_a, s.only_b, s.items - s.only_a - s.only_b]) for s in STRATA
    ]
    middle = sum(sample.mean() for sample in samples) / 3
    error = math.sqrt(sum(sample.var() / sample.size for sample in samples)) / 3
    strata = [differences(pairs) for pairs in STRATA]
    assert mean_difference(strata) == pytest.approx(middle)
    assert paired_interval(strata) == pytest.approx((middle - 1.959964 * error, middle + 1.959964 * error))


def test_the_paired_interval_is_close_to_scipys_bootstrap() -> None:
    samples = [
        numpy.repeat([1.0, -1.0, 0.0], [s.only_a, s.only_b, s.items - s.only_a - s.only_b]) for s in STRATA
    ]

    def mean_of_means(*data: numpy.ndarray, axis: int) -> numpy.ndarray:
        return numpy.mean([sample.mean(axis=axis) for sample in data], axis=0)

    theirs = scipy.stats.bootstrap(
        samples, mean_of_means, method="percentile", n_resamples=9_999, batch=500, rng=2
    )
    ours = paired_interval([differences(pairs) for pairs in STRATA])
    assert ours == pytest.approx(tuple(theirs.confidence_interval), abs=0.005)


pairings = st.lists(
    st.tuples(st.integers(0, 40), st.integers(0, 40), st.integers(1, 60)), min_size=1, max_size=4
).map(lambda rows: [{1.0: a, -1.0: b, 0.0: rest} for a, b, rest in rows])


@given(pairings)
def test_exchanging_the_runs_mirrors_the_paired_interval(strata: list[dict[float, int]]) -> None:
    low, high = paired_interval(strata)
    mirrored = [{-value: count for value, count in stratum.items()} for stratum in strata]
    assert paired_interval(mirrored) == pytest.approx((-high, -low))


@given(st.integers(0, 60), st.integers(0, 60), st.integers(1, 100))
@settings(max_examples=examples(30))
def test_the_randomisation_test_of_one_benchmark_is_mcnemars(only_a: int, only_b: int, rest: int) -> None:
    p = randomisation_test([{1.0: only_a, -1.0: only_b, 0.0: rest}])
    assert p == pytest.approx(mcnemar_exact(only_a, only_b), abs=0.025)  # five standard errors of drawing


def test_the_randomisation_test_counts_all_signs() -> None:
    strata = [{1.0: 3, -1.0: 1, 0.0: 6}, {0.5: 2, -0.25: 1, 0.0: 4}]
    weighted = [1 / 20] * 4 + [0.5 / 14] * 2 + [0.25 / 14]
    observed = 2 / 20 + 1 / 14 - 0.25 / 14
    sums = [
        sum(s * w for s, w in zip(signs, weighted, strict=True))
        for signs in itertools.product((1, -1), repeat=7)
    ]
    exact = sum(abs(total) >= observed - 1e-12 for total in sums) / len(sums)
    assert randomisation_test(strata) == pytest.approx(exact, abs=0.02)


@given(pairings)
def test_the_randomisation_test_does_not_care_which_run_is_first(strata: list[dict[float, int]]) -> None:
    mirrored = [{-value: count for value, count in stratum.items()} for stratum in strata]
    assert randomisation_test(strata, resamples=999) == randomisation_test(mirrored, resamples=999)


def test_few_items_that_all_favour_one_run_are_no_proof() -> None:
    strata = [differences(Discordance(12, 0, 0, right)) for right in (2, 2, 1)]
    assert paired_interval(strata)[1] < 0
    assert randomisation_test(strata) == pytest.approx(2 * 0.5**5, abs=0.012)


def test_the_same_seed_gives_the_same_resamples() -> None:
    strata = [differences(pairs) for pairs in STRATA]
    assert randomisation_test(strata, seed=7) == randomisation_test(strata, seed=7)


def test_runs_that_answer_alike_differ_by_nothing() -> None:
    assert paired_interval([differences(Discordance(40, 20, 0, 0))]) == (0, 0)
    assert randomisation_test([differences(Discordance(40, 20, 0, 0))]) == 1


@pytest.mark.parametrize("strata", [[], [{1.0: 0, 0.0: 0}]])
def test_no_items_have_no_difference(strata: list[dict[float, int]]) -> None:
    for test in (paired_interval, mean_difference, randomisation_test):
        with pytest.raises(ValueError, match="no items"):
            test(strata)
