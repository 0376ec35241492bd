"""Batches are composed canonically, and what prompts share is found."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from evaluation.engines.batches import Batch, Family, Prompt, common_prefix, compose, families

rows = st.lists(st.integers(1, 30), max_size=40).map(
    lambda lengths: [Prompt(f"{i}", tuple(range(n)), 1) for i, n in enumerate(lengths)]
)
few_tokens = st.lists(st.lists(st.integers(0, 1), min_size=1, max_size=90), min_size=1, max_size=12)


def batches_of(given_rows: list[Prompt], tokens: int, count: int) -> list[Batch]:
    return compose(Family(0, tuple(given_rows)), tokens, count)


@given(rows, st.integers(1, 100), st.integers(1, 8), st.randoms())
def test_the_order_of_rows_does_not_matter(
    given_rows: list[Prompt], tokens: int, count: int, shuffle: random.Random
) -> None:
    batches = batches_of(given_rows, tokens, count)
    shuffled = list(given_rows)
    shuffle.shuffle(shuffled)
    assert batches_of(shuffled, tokens, count) == batches
    assert sorted(row.key for batch in batches for row in batch.rows) == sorted(row.key for row in given_rows)
    assert families(shuffled) == families(given_rows) or not given_rows


@given(rows, st.integers(1, 100), st.integers(1, 8))
def test_batches_keep_to_their_limits(given_rows: list[Prompt], tokens: int, count: int) -> None:
    for batch in batches_of(given_rows, tokens, count):
        padded = len(batch.rows) * max(len(row.tokens) for row in batch.rows)
        assert len(batch.rows) == 1 or (padded <= tokens and len(batch.rows) <= count)


def test_shared_tokens_do_not_count_against_the_limit() -> None:
    family = Family(90, tuple(Prompt(f"{i}", (0,) * 90 + (i,) * 10, 1) for i in range(8)))
    assert [len(batch.rows) for batch in compose(family, 40, 99)] == [4, 4]


@given(few_tokens)
def test_the_common_prefix_is_common_and_leaves_something(tokens: list[list[int]]) -> None:
    length = common_prefix([Prompt(f"{i}", tuple(t), 1) for i, t in enumerate(tokens)])
    assert len({tuple(t[:length]) for t in tokens}) == 1
    assert all(len(t) > length for t in tokens)


@given(few_tokens)
def test_families_hold_each_row_once_and_share_what_they_say(tokens: list[list[int]]) -> None:
    given_rows = [Prompt(f"{i}", tuple(t), 1) for i, t in enumerate(tokens)]
    found = families(given_rows)
    assert sorted(row.key for family in found for row in family.rows) == sorted(r.key for r in given_rows)
    for family in found:
        assert len({row.tokens[: family.shared] for row in family.rows}) == 1
        assert all(len(row.tokens) > family.shared for row in family.rows)


def test_questions_about_one_passage_become_a_family() -> None:
    instruction, passage = (1,) * 20, (2,) * 100
    about_it = [Prompt(f"p{i}", (*instruction, *passage, 5 + i), 1) for i in range(3)]
    others = [Prompt(f"o{i}", (*instruction, 10 + i, 3, 3), 1) for i in range(4)]
    plain, family = families([others[0], *about_it, *others[1:]])
    assert (plain.shared, sorted(plain.rows, key=lambda row: row.key)) == (20, others)
    assert (family.shared, list(family.rows)) == (120, about_it)


def test_too_little_in_common_is_not_shared() -> None:
    found = families([Prompt("a", (1, 1, 1, 2), 1), Prompt("b", (1, 1, 1, 3), 1)])
    assert [family.shared for family in found] == [0]


def test_a_row_grows_by_what_is_generated() -> None:
    row = Prompt("a", (1, 2), 5, seed=7).extended([3]).extended([4, 5])
    assert (row.tokens, row.answer, row.budget, row.seed) == ((1, 2, 3, 4, 5), (3, 4, 5), 2, 7)
