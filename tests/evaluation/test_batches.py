"""Batches are composed canonically."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from evaluation.engines.batches import Row, common_prefix, compose

rows = st.lists(st.integers(1, 30), max_size=40).map(
    lambda lengths: [Row(f"{i}", tuple(range(n)), 1) for i, n in enumerate(lengths)]
)


@given(rows, st.integers(1, 100), st.integers(1, 8), st.randoms())
def test_the_order_of_rows_does_not_matter(
    given_rows: list[Row], tokens: int, count: int, shuffle: random.Random
) -> None:
    batches = compose(given_rows, tokens, count)
    shuffled = list(given_rows)
    shuffle.shuffle(shuffled)
    assert compose(shuffled, tokens, count) == batches
    assert sorted(row.key for batch in batches for row in batch) == sorted(row.key for row in given_rows)


@given(rows, st.integers(1, 100), st.integers(1, 8))
def test_batches_keep_to_their_limits(given_rows: list[Row], tokens: int, count: int) -> None:
    for batch in compose(given_rows, tokens, count):
        padded = len(batch) * max(len(row.tokens) for row in batch)
        assert len(batch) == 1 or (padded <= tokens and len(batch) <= count)


@given(st.lists(st.lists(st.integers(0, 1), min_size=1), min_size=1))
def test_the_common_prefix_is_common_and_leaves_something(tokens: list[list[int]]) -> None:
    length = common_prefix([Row(f"{i}", tuple(t), 1) for i, t in enumerate(tokens)])
    assert len({tuple(t[:length]) for t in tokens}) == 1
    assert all(len(t) > length for t in tokens)
