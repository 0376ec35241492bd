"""Which of a data set's rows are a benchmark's items, and which of them the training set holds as well."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from evaluation.benchmarks.definition import Benchmark
from evaluation.benchmarks.samples import Row

_SEED = 42


@dataclass(frozen=True)
class Items:
    """A benchmark's rows in its order, chosen from `of` rows.

    `leaked` tells of each whether its text is in the training set too, which only a benchmark that is a
    quarter of its data set knows.
    """

    rows: tuple[Row, ...]
    leaked: tuple[bool, ...]
    of: int


def choose(benchmark: Benchmark, rows: Sequence[Row]) -> Items:
    """The items among all rows of a data set. There may be none."""
    chosen = [row for row in rows if benchmark.selects(row)]
    split = benchmark.quarter
    if split is None:
        return Items(tuple(chosen), (False,) * len(chosen), len(chosen))
    order = _shuffled(len(chosen))
    trained = {_normal(chosen[i][split.text]) for i in order[math.ceil(split.trained * len(chosen)) :]}
    items = [chosen[i] for i in quarter(len(chosen))]
    return Items(
        tuple(items),
        tuple(_normal(row[split.text]) in trained for row in items),
        len(chosen),
    )


def quarter(n: int) -> list[int]:
    """Positions of the test quarter of n rows, in its order.

    The same as `datasets.Dataset.train_test_split(0.25, seed=42)["test"]`, without that library.
    """
    return _shuffled(n)[: math.ceil(n / 4)]


def _shuffled(n: int) -> list[int]:
    import numpy

    return [int(position) for position in numpy.random.default_rng(_SEED).permutation(n)]


def _normal(text: str) -> str:
    return " ".join(text.casefold().split())
