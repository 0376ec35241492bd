"""The pairs of a board in which one at least is the mean of several runs, tested over items and seeds.

The variance by the seed is pooled over the entries with several runs, as an analysis of variance does: with
the two degrees of freedom of three runs nothing on a board of hundreds could be told apart. An entry of one
run counts as if every seed gave the same; its place covers the choice of items alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from evaluation.statistics.packed import PackedAnswers
from evaluation.statistics.seeds import Estimate, Run, RunAnswers, Seeds, half_widths

if TYPE_CHECKING:
    import numpy
    from numpy.typing import NDArray

    from evaluation.statistics.ranks import Compared

_AT_ONCE = 512
"""Entries of which the single answers are held in memory as numbers."""


def compare(
    entries: Sequence[Run], runs: Mapping[int, Sequence[Run]], sure: float, possible: float
) -> Compared:
    """The pairs of the entries in `runs` with all others; z is the normal quantile of the pair's p value.

    `sure` and `possible` are such quantiles: beyond the first a pair is decided, below the second it is none.
    """
    import numpy
    from scipy.special import ndtr, ndtri

    above, below = numpy.zeros(len(entries), int), numpy.zeros(len(entries), int)
    between: list[tuple[float, int, int]] = []
    board = _Seeded.of(runs)
    for others in _portions(entries, board):
        for row, entry in enumerate(board.entries):
            apart, items, seeds = board.against(row, others)
            # Each pair once: of two with several runs when the later one is looked at.
            counted = ~numpy.isin(others.entries, board.entries[row:])
            size = numpy.abs(apart)
            decided = counted & (size > half_widths(items, [seeds], float(ndtr(-sure))))
            near = counted & ~decided & (size > half_widths(items, [seeds], float(ndtr(-possible))))
            above[entry] += int((decided & (apart < 0)).sum())
            below[entry] += int((decided & (apart > 0)).sum())
            numpy.add.at(above, others.entries[decided & (apart > 0)], 1)
            numpy.add.at(below, others.entries[decided & (apart < 0)], 1)
            for k in near.nonzero()[0].tolist():
                part = Seeds(float(seeds[0][k]), seeds[1])
                p_value = Estimate(float(apart[k]), float(items[k]), (part,)).p_value
                pair = (entry, int(others.entries[k]))
                higher, lower = pair if apart[k] > 0 else pair[::-1]
                between.append((float(-ndtri(p_value / 2)), higher, lower))
    return above, below, between


@dataclass(frozen=True)
class _Others:
    """Entries to compare with: mean answers by benchmark, shape (entries, items), and the rest by entry."""

    entries: NDArray[numpy.int64]
    by_item: list[NDArray[numpy.float32]]
    residual: NDArray[numpy.float64]  # (entries, benchmarks)
    runs: NDArray[numpy.int64]

    @classmethod
    def of(cls, answers: Mapping[int, RunAnswers]) -> _Others:
        import numpy

        found = list(answers.values())
        return cls(
            entries=numpy.array(list(answers), int),
            by_item=[
                numpy.stack([each.by_item[k] for each in found]).astype(numpy.float32)
                for k in range(len(found[0].by_item))
            ],
            residual=numpy.array([each.residual for each in found]),
            runs=numpy.array([each.runs for each in found]),
        )


@dataclass(frozen=True)
class _Seeded:
    """The entries with several runs; `variance` is that of one run's average by its seed, pooled."""

    answers: Mapping[int, RunAnswers]
    entries: NDArray[numpy.int64]
    variance: float
    freedom: int

    @classmethod
    def of(cls, runs: Mapping[int, Sequence[Run]]) -> _Seeded:
        import numpy

        answers = {entry: RunAnswers.of(own) for entry, own in runs.items()}
        freedom = sum(each.runs - 1 for each in answers.values())
        squares = sum(float(each.averages.var()) * each.runs for each in answers.values())
        return cls(answers, numpy.array(list(answers), int), squares / freedom, freedom)

    def against(
        self, row: int, others: _Others
    ) -> tuple[NDArray[numpy.float64], NDArray[numpy.float64], tuple[NDArray[numpy.float64], int]]:
        """The entry's mean less each of the others', with the variance by items and that by seeds."""
        import numpy

        own = self.answers[int(self.entries[row])]
        count = len(own.by_item)
        apart, items = numpy.zeros(others.entries.size), numpy.zeros(others.entries.size)
        for k, mean in enumerate(own.by_item):
            theirs = others.by_item[k]
            n = mean.size
            difference = mean.mean() - theirs.mean(1, dtype=float)
            products = theirs @ mean.astype(numpy.float32)
            squared = (mean**2).sum() + (theirs**2).sum(1, dtype=float) - 2 * products
            of_mean = (squared - n * difference**2) / max(1, n - 1) / n
            items += numpy.maximum(0, of_mean - own.residual[k] - others.residual[:, k]) / count**2
            apart += difference / count
        theirs_by_seed = numpy.where(others.runs > 1, 1 / others.runs, 0)
        return apart, items, (self.variance * (1 / own.runs + theirs_by_seed), self.freedom)


def _portions(entries: Sequence[Sequence[PackedAnswers]], board: _Seeded) -> Iterator[_Others]:
    """All entries in portions that fit into memory, those with several runs by the mean over them."""
    for start in range(0, len(entries), _AT_ONCE):
        portion = range(start, min(start + _AT_ONCE, len(entries)))
        yield _Others.of(
            {entry: board.answers.get(entry) or RunAnswers.of([entries[entry]]) for entry in portion}
        )
