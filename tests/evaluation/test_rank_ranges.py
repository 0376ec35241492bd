"""Ranges of ranks are what all corrected tests of the pairs say, however they are come by."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from random import Random

import numpy
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from evaluation.statistics import (
    PackedAnswers,
    RankRange,
    discordance,
    holm,
    holm_limits,
    rank_ranges,
    ranked,
    settled,
    significant,
)
from tests.evaluation.test_statistics import pack
from tests.profiles import examples
from tests.work import lines_run


def board(*rates: float, items: Sequence[int] = (300, 500), seed: int = 0) -> list[list[PackedAnswers]]:
    """Entries that are right with these probabilities, on items of different difficulty."""
    generator = numpy.random.default_rng(seed)
    hardness = [generator.normal(0, 0.1, n) for n in items]
    return [
        [pack(generator.random(n) < rate + hard) for n, hard in zip(items, hardness, strict=True)]
        for rate in rates
    ]


def test_clear_differences_give_each_entry_its_rank() -> None:
    assert rank_ranges(board(0.5, 0.9, 0.1)) == [RankRange(2, 2), RankRange(1, 1), RankRange(3, 3)]


def test_entries_that_cannot_be_told_apart_share_their_ranks() -> None:
    first, second, third = rank_ranges(board(0.61, 0.6, 0.2))
    assert first == second == RankRange(1, 2)
    assert (third, first.tied, third.tied) == (RankRange(3, 3), True, False)


def test_one_entry_is_first_and_none_have_no_ranks() -> None:
    assert rank_ranges([]) == []
    assert rank_ranges(board(0.4)) == [RankRange(1, 1)]


def reference(entries: list[list[PackedAnswers]]) -> list[RankRange]:
    """The definition, pair by pair, with Holm over every pair in both directions."""
    tests = {}
    for a, b in itertools.permutations(range(len(entries)), 2):
        pairs = [discordance(x, y) for x, y in zip(entries[a], entries[b], strict=True)]
        weights = [1 / (len(pairs) * pair.items) for pair in pairs]
        apart = sum((p.only_a - p.only_b) * w for p, w in zip(pairs, weights, strict=True))
        variance = sum((p.only_a + p.only_b) * w * w for p, w in zip(pairs, weights, strict=True))
        z = apart / math.sqrt(variance) if variance else 0.0
        tests[a, b] = float(scipy.stats.norm.sf(z))
    adjusted = dict(zip(tests, holm(list(tests.values())), strict=True))
    beats = {pair for pair, p in adjusted.items() if p <= 0.05}
    count = len(entries)
    return [
        RankRange(
            1 + sum((other, entry) in beats for other in range(count)),
            count - sum((entry, other) in beats for other in range(count)),
        )
        for entry in range(count)
    ]


boards = st.lists(st.sampled_from([0.2, 0.4, 0.5, 0.55, 0.6]), min_size=2, max_size=9).flatmap(
    lambda rates: st.integers(0, 50).map(lambda seed: board(*rates, items=(70, 130, 9), seed=seed))
)


@settings(max_examples=examples(25))
@given(boards)
def test_rank_ranges_are_what_all_corrected_tests_say(entries: list[list[PackedAnswers]]) -> None:
    assert rank_ranges(entries) == reference(entries)


@settings(max_examples=examples(25))
@given(boards, st.randoms(use_true_random=False))
def test_rank_ranges_do_not_depend_on_the_order_of_entries(
    entries: list[list[PackedAnswers]], random: numpy.random.Generator
) -> None:
    order = list(range(len(entries)))
    random.shuffle(order)
    ranges = rank_ranges(entries)
    assert rank_ranges([entries[place] for place in order]) == [ranges[place] for place in order]


@settings(max_examples=examples(25))
@given(boards)
def test_an_entrys_place_by_the_mean_lies_in_its_range(entries: list[list[PackedAnswers]]) -> None:
    means = [sum(answers.right_count / answers.items for answers in entry) for entry in entries]
    ranges = rank_ranges(entries)
    for mean, span in zip(means, ranges, strict=True):
        assert 1 <= span.best <= 1 + sum(other > mean + 1e-9 for other in means)
        assert len(means) >= span.worst >= len(means) - sum(other < mean - 1e-9 for other in means)


def test_rank_ranges_are_the_same_however_pairs_are_cut_into_tiles(monkeypatch: pytest.MonkeyPatch) -> None:
    entries = board(*numpy.linspace(0.3, 0.7, 40), items=(70, 130, 9))
    whole = rank_ranges(entries)
    monkeypatch.setattr(significant, "_SIDE", 7)
    assert rank_ranges(entries) == whole == reference(entries)


@pytest.mark.parametrize(("more", "told"), [(40, False), (41, True)])
def test_pairs_that_differ_as_much_as_their_means_allow_are_told_apart_as_exactly(
    monkeypatch: pytest.MonkeyPatch, more: int, *, told: bool
) -> None:
    monkeypatch.setattr(significant, "_SIDE", 1)
    monkeypatch.setattr(
        settled, "_ROOM", 0
    )  # or limits for a board of more entries hide what is wrong by little
    items = numpy.arange(500)
    entries = [[pack(items < 190 + more)], [pack(items >= 310)]]  # no item is right in both: z is 1.95, 2.00
    assert (rank_ranges(entries)[0] == RankRange(1, 1)) is told
    assert rank_ranges(entries) == reference(entries)


def test_entries_far_from_the_middle_are_told_apart_as_exactly_as_others() -> None:
    generator, number = numpy.random.default_rng(0), 50_000
    flags = numpy.repeat([True, False], 30)[:, None] ^ numpy.zeros(number, bool)
    for own in flags:
        own[generator.choice(400, generator.integers(0, 70), replace=False)] ^= True
    entries = [[pack(own)] for own in flags]
    assert rank_ranges(entries) == reference(entries)


def test_items_that_weigh_little_beside_others_count_as_exactly() -> None:
    generator = numpy.random.default_rng(30)
    few = generator.random((40, 7)) < generator.random((40, 1))
    right = generator.integers(0, 3000, 40)
    few[1::2] = few[::2]  # pairs that differ in items of the many alone
    right[1::2] = numpy.clip(right[::2] + generator.integers(-60, 60, 20), 0, 3000)
    many = numpy.arange(3000) < right[:, None]
    entries = [[pack(own), pack(others)] for own, others in zip(few, many, strict=True)]
    assert rank_ranges(entries) == reference(entries)


def test_limits_that_close_in_leave_to_holms_method_what_they_cannot_tell(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(significant, "_SIDE", 4)
    monkeypatch.setattr(holm_limits, "_MOST_OPEN", 3)
    entries = board(*numpy.linspace(0.45, 0.7, 24), items=(64, 90), seed=2)
    assert rank_ranges(entries + entries[:3]) == reference(entries + entries[:3])


def test_pairs_that_stay_open_are_not_looked_at_again_with_each_further_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(holm_limits, "_MOST_OPEN", 3)
    limits = holm_limits.Limits(0.05, 100, 100)
    count, pair = holm_limits.Count(limits, 100), numpy.array([7])
    between = holm_limits.Open(numpy.array([(limits.sure + limits.possible) / 2]), pair, pair + 1)
    looked, settle = [], count.settle
    monkeypatch.setattr(count, "settle", lambda: looked.append(settle()))
    for _ in range(400):
        count.add(between)
    assert settle().z.size == 400
    assert 3 < len(looked) < 12


@settings(max_examples=examples(25))
@given(boards, boards, st.randoms(use_true_random=False))
def test_a_board_that_grew_has_the_ranges_of_one_compared_anew(
    first: list[list[PackedAnswers]], more: list[list[PackedAnswers]], random: Random
) -> None:
    before = ranked(first).settled
    for part in (more[:1], more[1:]):
        first = [*first, *part]
        random.shuffle(first)
        found = ranked(first, before=before)
        assert found.ranges == reference(first)
        before = found.settled


def test_one_more_entry_is_held_against_the_others_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    entries = board(*numpy.linspace(0.3, 0.7, 40))
    before = ranked(entries[:-1]).settled
    monkeypatch.setattr(settled, "compare", None)
    assert ranked(entries, before=before).ranges == reference(entries)


def test_an_entry_that_left_or_changed_is_compared_anew_with_all() -> None:
    entries = board(*numpy.linspace(0.3, 0.7, 40))
    before = ranked(entries).settled
    assert ranked(entries[1:], before=before).ranges == reference(entries[1:])
    changed = [entries[1], *entries[1:]]
    assert ranked(changed, before=before).ranges == reference(changed)


def test_the_ranges_hold_all_true_ranks_at_once_as_often_as_they_say() -> None:
    wrong = 0
    for seed in range(200):
        ranges = rank_ranges(board(*[0.5] * 6, items=(43, 44, 54), seed=seed))
        wrong += any(span != RankRange(1, 6) for span in ranges)
    assert wrong / 200 <= 0.08  # 0.05, and two standard errors of 200 trials


def test_ranking_many_entries_takes_no_more_work_for_each_than_few() -> None:
    entries = board(*numpy.linspace(0.3, 0.6, 200), items=(500, 4_183, 1_273, 5_621))
    assert lines_run(lambda: rank_ranges(entries)) < 3 * lines_run(lambda: rank_ranges(entries[::2]))
    ranges = rank_ranges(entries)
    assert ranges[0].worst == 200
    assert ranges[-1].best == 1


def test_incomplete_or_unlike_entries_have_no_rank() -> None:
    complete = [pack([True, False])]
    with pytest.raises(ValueError, match="unscored items"):
        rank_ranges([complete, [pack([True, False], [True, False])]])
    with pytest.raises(ValueError, match="same benchmarks"):
        rank_ranges([complete, [pack([True])]])
