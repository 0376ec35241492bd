"""Which entries of a board differ for sure: every pair tested, most of them without counting all items.

z² of a pair is D²/V: D is the difference of the means, V = Σ w² over the items on which the two differ, w
being an item's weight in a mean. V is a distance: with s for that of an entry from the answers that most of
them gave, no pair's V is more than s_i + s_j. Where D is large enough for that, nothing is counted; of the
others the items that differ are, as Hamming distances of their bits in whole numbers, a benchmark after the
other until every pair of a tile is decided.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

from evaluation.statistics.holm_limits import Count, Open
from evaluation.statistics.packed import PackedAnswers

if TYPE_CHECKING:
    import numpy
    from numpy.typing import NDArray

_SIDE = 256
"""Entries along either side of a tile: its pairs stay in the processor's cache."""
_SAMPLE = 2048
"""Entries that the usual answers are those of."""
_ROUNDING = 1 + 1e-9
"""Far more than double precision loses of a variance."""
_NOTHING = 1e-300
"""A variance that is nothing beside that of a single item, but can be divided by."""
_THREADS = 4


@dataclass(frozen=True)
class Bits:
    """Complete answers of entries, packed, (entries, bytes), with their means.

    `benchmarks` are the bytes and the squared weight of an item of each, the one with the fewest items first:
    that adds most to a variance and is counted soonest.
    """

    means: NDArray[numpy.float64]
    packed: NDArray[numpy.uint8]
    benchmarks: Sequence[tuple[slice, float]]

    @classmethod
    def of(cls, entries: Sequence[Sequence[PackedAnswers]]) -> Bits:
        import numpy

        items = [answers.items for answers in entries[0]]
        packed, benchmarks, means, start = [], [], numpy.zeros(len(entries)), 0
        for k in sorted(range(len(items)), key=items.__getitem__):
            joined = b"".join([entry[k].right_bytes for entry in entries])
            packed.append(numpy.frombuffer(joined, numpy.uint8).reshape(len(entries), -1))
            means += numpy.bitwise_count(packed[-1]).sum(1, dtype=int) / items[k] / len(items)
            end = start + packed[-1].shape[1]
            benchmarks.append((slice(start, end), float(items[k] * len(items)) ** -2))
            start = end
        return cls(means, numpy.hstack(packed), benchmarks)

    def sorted(self) -> tuple[NDArray[numpy.int64], Bits]:
        """By falling mean, and the positions before."""
        import numpy

        order = numpy.argsort(-self.means, kind="stable")
        return order, Bits(self.means[order], self.packed[order], self.benchmarks)

    def z(self, rows: slice, columns: slice) -> NDArray[numpy.float64]:
        """Of every pair, the row less the column; 0 where the answers are the same."""
        *_, variance = self.variances(self.packed[rows], self.packed[columns])
        return self.z_of(variance, rows, columns)

    def z_of(self, variance: NDArray[numpy.float64], rows: slice, columns: slice) -> NDArray[numpy.float64]:
        import numpy

        apart = numpy.subtract.outer(self.means[rows], self.means[columns])
        return numpy.divide(apart, numpy.sqrt(variance), out=apart)

    def variances(
        self, rows: NDArray[numpy.uint8], columns: NDArray[numpy.uint8]
    ) -> Iterator[NDArray[numpy.float64]]:
        """V of every pair of packed answers over the first benchmark, the first two, and so on to all: the
        same array each time, (rows, columns). It is a little more than 0 where the answers are the same."""
        import numpy
        from simsimd import cdist

        variance = numpy.full((len(rows), len(columns)), _NOTHING)
        for part, weight in self.benchmarks:
            differing = cdist(rows[:, part], columns[:, part], "hamming", dtype="bin8")
            variance += weight * numpy.asarray(differing)
            yield variance


def compare(bits: Bits, count: Count) -> None:
    """Count every pair of the entries."""
    tiles = _Tiles.of(bits, count)
    near = tiles.without_the_far()
    with ThreadPoolExecutor(min(_THREADS, _processors())) as pool:
        for _ in pool.map(tiles.compare, *near.nonzero()):
            pass


@dataclass(frozen=True)
class _Tiles:
    """The pairs of entries by falling mean, each block of them with each; `order` has the positions before.

    `left` is for every block the most that V is of one of its entries and the usual answers, over all
    benchmarks, over all but the first, and so on to none, (benchmarks + 1, blocks).
    """

    order: NDArray[numpy.int64]
    bits: Bits
    starts: NDArray[numpy.int64]
    left: NDArray[numpy.float64]
    count: Count
    lock: threading.Lock

    @classmethod
    def of(cls, unsorted: Bits, count: Count) -> _Tiles:
        import numpy

        order, bits = unsorted.sorted()
        sample = numpy.unpackbits(bits.packed[:: 1 + order.size // _SAMPLE], axis=1)
        usual = numpy.packbits(sample.mean(0) > 0.5)[None]
        known = [numpy.zeros(order.size)]
        known += [variance[:, 0].copy() for variance in bits.variances(bits.packed, usual)]
        starts = numpy.arange(0, order.size, _SIDE)
        left = numpy.maximum.reduceat(known[-1] - numpy.stack(known), starts, axis=1) * _ROUNDING
        return cls(order, bits, starts, left, count, threading.Lock())

    def without_the_far(self) -> NDArray[numpy.bool_]:
        """Count the pairs of blocks whose entries differ for sure, whichever items it is in; which pairs of
        blocks are others, each once."""
        import numpy

        sizes = numpy.diff(self.starts, append=self.order.size)
        best, worst = self.bits.means[self.starts], self.bits.means[self.starts + sizes - 1]
        nearest = numpy.maximum(0, numpy.subtract.outer(worst, best))
        far = nearest > self.count.limits.sure * numpy.sqrt(numpy.add.outer(self.left[0], self.left[0]))
        self.count.above[self.order] += numpy.repeat(sizes @ far, sizes)
        self.count.below[self.order] += numpy.repeat(far @ sizes, sizes)
        self.count.limits.learn(int(sizes @ far @ sizes), 0)
        return numpy.triu(~far)

    def compare(self, row: int, column: int) -> None:
        """Count the pairs of a block with one behind it, or with itself."""
        import numpy

        rows, columns = self._block(row), self._block(column)
        sure, possible = self.count.limits.sure, self.count.limits.possible
        z = self._z(rows, columns, self.left[1:, row] + self.left[1:, column], sure, possible)
        better, between = z > sure, (z > possible) & (z <= sure)
        one, other = numpy.divmod(numpy.flatnonzero(between), z.shape[1])
        open_pairs = Open(z[between], self.order[rows][one], self.order[columns][other])
        above, below = (better.sum(axis, dtype=numpy.uint16) for axis in (0, 1))
        decided, pairs = int(below.sum()), len(z) * (len(z) - 1) // 2 if row == column else z.size
        with self.lock:
            self.count.above[self.order[columns]] += above
            self.count.below[self.order[rows]] += below
            self.count.limits.learn(decided, pairs - decided - one.size)
            self.count.add(open_pairs)

    def _z(
        self, rows: slice, columns: slice, left: NDArray[numpy.float64], sure: float, possible: float
    ) -> NDArray[numpy.float64]:
        """Of every pair, by so many benchmarks as it takes; more can be `left` of the others. Where none of
        the pairs comes to `possible`, 0."""
        import numpy

        means = self.bits.means
        nearest = float(means[rows.stop - 1] - means[columns.start])
        farthest = float(means[rows.start] - means[columns.stop - 1])
        growing = self.bits.variances(self.bits.packed[rows], self.bits.packed[columns])
        for most, variance in zip(left, growing, strict=True):
            if farthest <= possible * numpy.sqrt(variance.min()):
                return numpy.zeros_like(variance)
            if nearest > sure * numpy.sqrt(variance.max() + most):
                break  # all are beyond `sure`, then, by what is known, too
        return self.bits.z_of(variance, rows, columns)

    def _block(self, number: int) -> slice:
        start = int(self.starts[number])
        return slice(start, min(start + _SIDE, self.order.size))


def _processors() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
