"""N-grams of the benchmarks' items, and of the challenges' training sets with them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from evaluation.benchmarks.definition import Benchmark
from evaluation.benchmarks.samples import Row
from evaluation.data import training
from evaluation.data.official import hold
from evaluation.data.register import Given, Register
from evaluation.overlap.comparison import Comparison
from evaluation.overlap.index import Index, build
from evaluation.overlap.report import Report


def index_of(
    benchmark: Benchmark, location: str | Path | None, *, fetch: bool = True, register: Register | None = None
) -> Index:
    """The index of the benchmark's items where they are. Raises as `evaluation.data.load`."""
    held = hold(benchmark, location, register or Given(), fetch=fetch)
    return build(benchmark.slug, held.digest, (texts_of(benchmark, row) for row in held.items.rows))


def texts_of(benchmark: Benchmark, row: Row) -> list[str]:
    """The texts in an item's own columns; the prompt around them is no item's."""
    return list(_texts([row[column.name] for column in benchmark.columns if column.name in row]))


def compare_training_set(path: Path, indexes: Sequence[Index]) -> Report:
    """The rows of a training set's file against benchmarks. Raises DataError."""
    comparison = Comparison(indexes)
    for _, row in training.read(path):
        others = (value for _, value in row.others)
        comparison.add((row.instruction, row.input, row.output, *others))
    return comparison.report()


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for each in value.values():
            yield from _texts(each)
    elif isinstance(value, list | tuple):
        for each in value:
            yield from _texts(each)
