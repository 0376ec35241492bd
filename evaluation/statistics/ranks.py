"""Which ranks an entry of a board may have, given that its items are a sample: ranges instead of one number.

Entries that cannot be told apart have ranges that overlap; being tied is not transitive (a may be tied with
b and b with c where a is better than c), so that a board does not fall into groups, but each entry's range
says exactly what is known.
"""

from __future__ import annotations

import bisect
import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import TYPE_CHECKING

from evaluation.statistics import seed_ranks
from evaluation.statistics.packed import PackedAnswers

if TYPE_CHECKING:
    import numpy
    from numpy.typing import NDArray


@dataclass(frozen=True)
class RankRange:
    """The ranks from `best` to `worst` that an entry may have; 1 is the top."""

    best: int
    worst: int

    @property
    def tied(self) -> bool:
        return self.best < self.worst


def rank_ranges(
    entries: Sequence[Sequence[PackedAnswers]],
    repeats: Mapping[int, Sequence[Sequence[PackedAnswers]]] | None = None,
    *,
    confidence: float = 0.95,
) -> list[RankRange]:
    """The range of ranks of every entry by its plain mean over the benchmarks, in the order given.

    `entries` hold each entry's complete answers to the same benchmarks in the same order. `best` is 1 plus
    the number of entries that are significantly better, `worst` the number of entries less those that are
    significantly worse. With the confidence given, all entries' true ranks lie in their ranges at once
    (Mogstad, Romano, Shaikh & Wilhelm 2024, doi:10.1093/restud/rdad006): every pair is tested in both
    directions, and Holm's method corrects for all n(n-1) tests. It follows that the ranges do not depend on
    the order of the entries, that one's own place by the mean lies in its range, and that a board with more
    entries separates them less.

    `repeats` hold, by an entry's position, further runs of its method that differ in the seed; it stands by
    the mean over all its runs then, and its pairs are tested over items and seeds (`seed_ranks`).

    The test of any other pair is McNemar's for several benchmarks: an item on which the two differ counts ±
    the weight 1/(benchmarks · items) that it has in the mean; under the hypothesis either sign is as likely.
    The sum is compared with a normal distribution of the variance that this gives: large numbers of items,
    no continuity correction. For one benchmark it is the asymptotic McNemar test.

    Time grows with the square of the number of entries, memory with the number: 200 entries with 11,577 items
    take some hundredths of a second, 10,000 take two seconds. Most pairs are decided by bounds, from the
    numbers of right answers and from the answers to the benchmarks of few items, which weigh most.

    Raises ValueError for incomplete or unlike answers.
    """
    import numpy

    runs = {entry: [entries[entry], *further] for entry, further in (repeats or {}).items() if further}
    _check([*entries, *(run for own in runs.values() for run in own)])
    count = len(entries)
    if count < 2:
        return [RankRange(1, count) for _ in entries]

    alpha, tests = 1 - confidence, count * (count - 1)
    # Holm divides α by `tests` at first and, as at most half of the tests can be rejected (one direction of
    # each pair), never by less than half of them + 1. Only between these limits does the pairs' order count.
    sure, possible = _critical(alpha / tests), _critical(alpha / (tests // 2 + 1))
    found = _of_single_runs(entries, runs, sure, possible)
    if runs:
        found = found.joined(*seed_ranks.compare(entries, runs, sure, possible))
    rejected = int(found.below.sum())
    falling = numpy.lexsort((-found.lower, -found.higher, -found.z))
    passed = falling[: _passing(found.z[falling], lambda k: _critical(alpha / (tests - rejected - k)))]
    best = 1 + found.above + numpy.bincount(found.lower[passed], minlength=count)
    worst = count - found.below - numpy.bincount(found.higher[passed], minlength=count)
    return [RankRange(*reach) for reach in zip(best.tolist(), worst.tolist(), strict=True)]


def _of_single_runs(
    entries: Sequence[Sequence[PackedAnswers]], repeated: Collection[int], sure: float, possible: float
) -> _Compared:
    """The pairs among the entries that are not `repeated`, by entry."""
    import numpy

    single = [entry for entry in range(len(entries)) if entry not in repeated]
    above, below = numpy.zeros(len(entries), int), numpy.zeros(len(entries), int)
    if len(single) < 2:
        none = numpy.zeros(0, int)
        return _Compared(above, below, numpy.zeros(0), none, none)
    board = _Board.of([entries[entry] for entry in single])
    order = numpy.array(single)[board.order]
    found = board.compare(sure, possible)
    above[order], below[order] = found.above, found.below
    return _Compared(above, below, found.z, order[found.higher], order[found.lower])


def _passing(falling: NDArray[numpy.float64], critical: Callable[[int], float]) -> int:
    """How many of the falling values are above their critical ones, which fall too, before the first that is
    not: a stretch whose last value is above its first critical one has no such."""
    done, stretch = 0, falling.size
    while done < falling.size:
        stretch = min(stretch, falling.size - done)
        if falling[done + stretch - 1] > critical(done):
            done += stretch
        elif stretch == 1:
            break
        else:
            stretch = -(-stretch // 2)
    return done


_ROWS, _COLUMNS = 64, 512
"""Of a tile of pairs: what is computed of one stays in the processor's cache."""


@dataclass(frozen=True)
class _Tile:
    """The pairs of the entries at some places with those at others."""

    rows: slice
    columns: slice

    @property
    def shape(self) -> tuple[int, int]:
        return self.rows.stop - self.rows.start, self.columns.stop - self.columns.start

    def once(self) -> NDArray[numpy.bool_]:
        """Of the pairs those whose second is at a later place."""
        import numpy

        rows, columns = (numpy.arange(part.start, part.stop) for part in (self.rows, self.columns))
        later: NDArray[numpy.bool_] = columns > rows[:, None]
        return later


@dataclass(frozen=True)
class _Pairs:
    """Pairs of places, on how many items of the first benchmark they differ, and of each other at most."""

    places: NDArray[numpy.int64]
    later: NDArray[numpy.int64]
    differing: NDArray[numpy.float32]
    most: list[NDArray[numpy.float32]]


@dataclass(frozen=True)
class _Compared:
    """How many are surely better and surely worse than each; and the pairs in between, which z decides."""

    above: NDArray[numpy.int64]
    below: NDArray[numpy.int64]
    z: NDArray[numpy.float64]
    higher: NDArray[numpy.int64]
    lower: NDArray[numpy.int64]

    def joined(
        self, above: NDArray[numpy.int64], below: NDArray[numpy.int64], pairs: list[tuple[float, int, int]]
    ) -> _Compared:
        """With other pairs of the same entries: z, the higher, the lower."""
        import numpy

        z = numpy.array([pair[0] for pair in pairs])
        higher, lower = (numpy.array([pair[end] for pair in pairs], int) for end in (1, 2))
        return _Compared(
            self.above + above,
            self.below + below,
            numpy.concatenate([self.z, z]),
            numpy.concatenate([self.higher, higher]),
            numpy.concatenate([self.lower, lower]),
        )


@dataclass(frozen=True)
class _Board:
    """The entries sorted by falling mean; `order` has the position of each in the input.

    Benchmarks stand in the order of their share in the variance of a mean, those of few items first. `right`
    are counts (benchmarks, entries). The answers, 64 items a word, have the shape (words, entries) of the
    first benchmark, which is looked at for whole tiles of pairs, and (entries, words) of the others, which
    are for single ones. `weights` are squared; `falling` are the means negated.
    """

    order: NDArray[numpy.int64]
    means: NDArray[numpy.float64]
    items: NDArray[numpy.float64]
    right: NDArray[numpy.float64]
    first: NDArray[numpy.uint64]
    others: list[NDArray[numpy.uint64]]
    weights: NDArray[numpy.float64]
    falling: list[float]

    @classmethod
    def of(cls, entries: Sequence[Sequence[PackedAnswers]]) -> _Board:
        import numpy

        items = numpy.array([answers.items for answers in entries[0]], float)
        right = numpy.array([[answers.right_count for answers in entry] for entry in entries], float)
        means = (right / items).mean(axis=1)
        order = numpy.argsort(-means, kind="stable")
        first = numpy.argsort(items, kind="stable")
        words = []
        for k in first.tolist():
            size = -(-int(items[k]) // 64) * 8
            packed = b"".join(entries[entry][k].right_bytes().ljust(size, b"\0") for entry in order.tolist())
            words.append(numpy.frombuffer(packed, numpy.uint64).reshape(len(entries), -1))
        weights = 1 / (items * len(items)) ** 2.0
        counts = numpy.ascontiguousarray(right[order].T[first])
        return cls(
            order=order,
            means=means[order],
            falling=(-means[order]).tolist(),
            items=items[first],
            right=counts,
            first=numpy.ascontiguousarray(words[0].T),
            others=words[1:],
            weights=weights[first],
        )

    def compare(self, sure: float, possible: float) -> _Compared:
        """Test every pair against two critical values of z; by place instead of by entry."""
        import numpy

        count = self.means.size
        above, below = numpy.zeros(count, int), numpy.zeros(count, int)
        behind = numpy.zeros(count + 1, int)
        between: list[tuple[NDArray[numpy.float64], NDArray[numpy.int64], NDArray[numpy.int64]]] = []
        for start in range(0, count, _ROWS):
            stop = min(start + _ROWS, count)
            end = self._end(stop - 1, sure)
            behind[end] += stop - start
            below[start:stop] += count - end
            for column in range(start, end, _COLUMNS):
                tile = _Tile(slice(start, stop), slice(column, min(column + _COLUMNS, end)))
                better, pairs = self._bounded(tile, sure, possible)
                z = self._exact(pairs, sure, possible)
                surely = z > sure
                below[tile.rows] += better.sum(1) + _count(pairs.places[surely], tile.rows)
                above[tile.columns] += better.sum(0) + _count(pairs.later[surely], tile.columns)
                kept = (z > possible) & ~surely
                between.append((z[kept], pairs.places[kept], pairs.later[kept]))
        parts = [numpy.concatenate(part) for part in zip(*between, strict=True)]
        return _Compared(above + behind.cumsum()[:-1], below, *parts)

    def _bounded(self, tile: _Tile, sure: float, possible: float) -> tuple[NDArray[numpy.bool_], _Pairs]:
        """Which pairs of a tile the bounds call better for sure, and those that they leave open.

        A variance lies between what the first benchmark has of it, with as little as the others may add (all
        right answers shared that can be), and the same with as much as they may (none shared). In single
        precision, which counts exactly, and with room for its rounding.
        """
        import numpy

        single = numpy.float32
        differing = numpy.zeros(tile.shape, single)
        for word in self.first:
            differing += numpy.bitwise_count(word[tile.rows, None] ^ word[tile.columns])
        lowest = differing * single(self.weights[0])
        highest = lowest.copy()
        most = []
        for k in range(1, self.weights.size):
            weight = single(self.weights[k])
            rows, columns = (self.right[k, part].astype(single) for part in (tile.rows, tile.columns))
            together = rows[:, None] + columns
            most.append(numpy.minimum(together, single(2 * self.items[k]) - together))
            highest += most[-1] * weight
            apart = rows[:, None] - columns
            lowest += numpy.abs(apart, out=apart) * weight
        squared = (self.means[tile.rows, None] - self.means[tile.columns]).astype(single)
        squared *= squared
        room = single(1e-8 + 1e-6 * sure**2 * float(self.weights @ self.items))
        better = squared * single(1 - 1e-5) > single(sure**2) * highest + room
        undecided = squared * single(1 + 1e-5) + room > single(possible**2) * lowest
        undecided &= ~better
        if tile.columns.start < tile.rows.stop:
            once = tile.once()
            better &= once
            undecided &= once
        found = numpy.flatnonzero(undecided)
        places, later = numpy.divmod(found, tile.shape[1])
        return better, _Pairs(
            places + tile.rows.start,
            later + tile.columns.start,
            differing.ravel()[found],
            [each.ravel()[found] for each in most],
        )

    def _exact(self, pairs: _Pairs, sure: float, possible: float) -> NDArray[numpy.float64]:
        """z of pairs: exact between `possible` and `sure`; elsewhere it may be given too low, but on the same
        side of both."""
        import numpy

        apart = self.means[pairs.places] - self.means[pairs.later]
        squared = apart * apart
        known = self.weights[0] * pairs.differing
        highest = known.copy()
        for k, most in enumerate(pairs.most, start=1):
            highest += self.weights[k] * most
        near = numpy.arange(apart.size)
        for k, words in enumerate(self.others, start=1):
            # Undecided as yet: the variance lies between what is known of it and the highest that it can be.
            undecided = squared[near] <= sure**2 * highest[near]
            undecided &= squared[near] > possible**2 * known
            near, known = near[undecided], known[undecided]
            if not near.size:
                break
            differing = words.take(pairs.places[near], axis=0)
            differing ^= words.take(pairs.later[near], axis=0)
            # `einsum` adds short rows twice as fast as `sum` does.
            counts = numpy.einsum("ij->i", numpy.bitwise_count(differing), dtype=numpy.uint32, casting="safe")
            variance = self.weights[k] * counts
            known += variance
            highest[near] += variance - self.weights[k] * pairs.most[k - 1][near]
        return _quotient(apart, highest)

    def _end(self, place: int, sure: float) -> int:
        """The first place so far behind that no answers could make the difference chance."""
        reach = sure * math.sqrt(float(self.weights @ self.items))
        return bisect.bisect_right(self.falling, reach - float(self.means[place]))


def _count(places: NDArray[numpy.int64], part: slice) -> NDArray[numpy.int64]:
    """How often each place of a part is among the places, which all lie in it."""
    import numpy

    return numpy.bincount(places - part.start, minlength=part.stop - part.start)


def _quotient(apart: NDArray[numpy.float64], variance: NDArray[numpy.float64]) -> NDArray[numpy.float64]:
    """Difference over standard error; 0 without a variance, where the answers are the same."""
    import numpy

    zero = numpy.zeros_like(apart)
    quotient: NDArray[numpy.float64] = numpy.divide(apart, numpy.sqrt(variance), out=zero, where=variance > 0)
    return quotient


def _critical(tail: float) -> float:
    """The value that a standard normal variable exceeds with the probability `tail`."""
    return -NormalDist().inv_cdf(tail)


def _check(entries: Sequence[Sequence[PackedAnswers]]) -> None:
    shapes = {tuple(answers.items for answers in entry) for entry in entries}
    if len(shapes) > 1 or () in shapes:
        raise ValueError("entries of one board answer the same benchmarks, at least one")
    if not all(answers.complete for entry in entries for answers in entry):
        raise ValueError("an entry with unscored items has no rank")
