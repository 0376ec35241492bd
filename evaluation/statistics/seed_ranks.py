"""The pairs of a board in which one at least is the mean of several runs, tested over items and seeds.

The variance by the seed is pooled over the entries with several runs, as an analysis of variance does: with
the two degrees of freedom of three runs nothing on a board of hundreds could be told apart. An entry of one
run counts as if every seed gave the same; its place covers the choice of items alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from evaluation.statistics.packed import PackedAnswers
from evaluation.statistics.seeds import Run, RunAnswers, half_widths, p_values

if TYPE_CHECKING:
    import numpy
    from numpy.typing import NDArray

    from evaluation.statistics.seeds import SeedsOfMany

    Compared = tuple[NDArray[numpy.int64], NDArray[numpy.int64], list[tuple[float, int, int]]]
    """How many are surely better and worse than each, and the pairs in between: z, the higher, the lower."""
    _Pairs = tuple[NDArray[Any], NDArray[Any], NDArray[Any], NDArray[Any], NDArray[Any]]
    """Numbers of the two, the one's mean less the other's, and its variance by items and by seeds."""

_AT_ONCE = 512
"""Entries of which the single answers are held in memory as numbers."""


def compare(
    entries: Sequence[Run], runs: Mapping[int, Sequence[Run]], sure: float, possible: float
) -> Compared:
    """The pairs of the entries in `runs` with all others; z is the normal quantile of the pair's p value.

    `sure` and `possible` are such quantiles: beyond the first a pair is decided, below the second it is none.
    """
    import numpy
    from scipy.special import ndtri

    above, below = numpy.zeros(len(entries), int), numpy.zeros(len(entries), int)
    open_pairs: list[_Pairs] = []
    board = _Seeded.of(runs)
    for others in _portions(entries, board):
        for row, (apart, items, seeds) in enumerate(board.against(others)):
            entry = board.entries[row]
            # Each pair once: of two with several runs when the later one is looked at.
            counted = ~numpy.isin(others.entries, board.entries[row:])
            decided, near = _told(abs(apart), items, (seeds, board.freedom), sure, possible)
            decided &= counted
            above[entry] += int((decided & (apart < 0)).sum())
            below[entry] += int((decided & (apart > 0)).sum())
            numpy.add.at(above, others.entries[decided & (apart > 0)], 1)
            numpy.add.at(below, others.entries[decided & (apart < 0)], 1)
            near &= counted
            theirs = others.entries[near]
            open_pairs.append((numpy.full(theirs.size, entry), theirs, apart[near], items[near], seeds[near]))
    own, theirs, apart, items, seeds = (numpy.concatenate(parts) for parts in zip(*open_pairs, strict=True))
    # All at once: finding where an interval ends takes many steps.
    z = -ndtri(p_values(apart, items, [(seeds, board.freedom)]) / 2)
    higher, lower = numpy.where(apart > 0, own, theirs), numpy.where(apart > 0, theirs, own)
    return above, below, list(zip(z.tolist(), higher.tolist(), lower.tolist(), strict=True))


def _told(
    size: NDArray[numpy.float64],
    items: NDArray[numpy.float64],
    seeds: SeedsOfMany,
    sure: float,
    possible: float,
) -> tuple[NDArray[numpy.bool_], NDArray[numpy.bool_]]:
    """Which differences of that size are decided, and which lie between `possible` and `sure`.

    z √V is the narrowest that h can be, Student's t of the seeds' degrees of freedom the widest: what is
    beyond either needs no closer look.
    """
    import numpy
    from scipy.special import ndtr, stdtrit

    deviation = numpy.sqrt(items + seeds[0])
    decided = size > -stdtrit(seeds[1], ndtr(-sure)) * deviation
    near = (size > possible * deviation) & ~decided
    unclear = near.nonzero()[0]
    own, variance, parts = size[unclear], items[unclear], [(seeds[0][unclear], seeds[1])]
    decided[unclear] = own > half_widths(variance, parts, float(ndtr(-sure)))
    near[unclear] = ~decided[unclear] & (own > half_widths(variance, parts, float(ndtr(-possible))))
    return decided, near


@dataclass(frozen=True)
class _Others:
    """Entries to compare with: mean answers by benchmark, shape (entries, items), and the rest by entry."""

    entries: NDArray[numpy.int64]
    by_item: list[NDArray[numpy.float32]]
    squares: NDArray[numpy.float64]  # their sum over items, (entries, benchmarks)
    means: NDArray[numpy.float64]
    residual: NDArray[numpy.float64]
    runs: NDArray[numpy.int64]

    @classmethod
    def of(cls, answers: Mapping[int, RunAnswers]) -> _Others:
        import numpy

        found = list(answers.values())
        by_item = [numpy.stack(of_all) for of_all in zip(*(each.by_item for each in found), strict=True)]
        return cls(
            entries=numpy.array(list(answers), int),
            by_item=[of_all.astype(numpy.float32) for of_all in by_item],
            squares=numpy.stack([(of_all**2).sum(1) for of_all in by_item], 1),
            means=numpy.stack([of_all.mean(1) for of_all in by_item], 1),
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
        self, others: _Others
    ) -> Iterator[tuple[NDArray[numpy.float64], NDArray[numpy.float64], NDArray[numpy.float64]]]:
        """Of each entry its mean less each of the others', with the variance by items and that by seeds."""
        import numpy

        own = _Others.of(self.answers)
        products = [mine @ theirs.T for mine, theirs in zip(own.by_item, others.by_item, strict=True)]
        theirs_by_seed = numpy.where(others.runs > 1, 1 / others.runs, 0)
        for row, runs in enumerate(own.runs):
            apart, items = numpy.zeros(others.entries.size), numpy.zeros(others.entries.size)
            for k, product in enumerate(products):
                n, count = own.by_item[k].shape[1], len(products)
                difference = own.means[row, k] - others.means[:, k]
                squared = own.squares[row, k] + others.squares[:, k] - 2 * product[row].astype(float)
                of_mean = (squared - n * difference**2) / max(1, n - 1) / n
                items += numpy.maximum(0, of_mean - own.residual[row, k] - others.residual[:, k]) / count**2
                apart += difference / count
            yield apart, items, self.variance * (1 / runs + theirs_by_seed)


def _portions(entries: Sequence[Sequence[PackedAnswers]], board: _Seeded) -> Iterator[_Others]:
    """All entries in portions that fit into memory, those with several runs by the mean over them."""
    for start in range(0, len(entries), _AT_ONCE):
        portion = range(start, min(start + _AT_ONCE, len(entries)))
        yield _Others.of(
            {entry: board.answers.get(entry) or RunAnswers.of([entries[entry]]) for entry in portion}
        )
