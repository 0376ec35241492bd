"""Which entries of a board differ for sure: every pair tested, few of them by all of their answers.

z² of a pair is D²/V: D is the difference of the means, V = Σ w² over the items on which the two differ, w
being an item's weight in a mean. Whether that exceeds a critical value c², bounds of V mostly tell. Of each
item the answer that most entries gave is known, so that an entry is the set of items on which it deviates:
with s for Σ w² over an entry's deviations and g for that over those which two have in common,

    V = s_i + s_j - 2 g_ij.

Known items leave open only how many of the deviations on the others are shared. Items stand in the order of
what they add to a variance, so that few tell most, and g of whole tiles of pairs is one product of matrices.
Pairs that stay open are counted from the bits, in whole numbers.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

from evaluation.statistics.holm_limits import Count, Open
from evaluation.statistics.packed import PackedAnswers

if TYPE_CHECKING:
    import numpy
    from numpy.typing import NDArray

_SIDE = 256
"""Entries along either side of a tile."""
_KNOWN = (64, 128, 256, 512, 1024, 2048)
"""So many items are looked at before the bounds are, unless all are."""
_HELD = 256
"""Items of which deviations are held as numbers; those of the others are unpacked when they are needed."""
_SAMPLE = 2048
"""Entries by which the order of the items is chosen."""
_MARGIN = 1.05
"""By so much a tile's pairs are taken to differ in their variance."""
_EXACT = 128
"""What counting a word of a pair's bits costs, in items of a product of matrices."""
_NEAR = 0.2
"""Where known items leave no more of the variance open, single pairs are looked at."""
_ROUNDING = 2.0**-22
"""Four times what single precision loses of a number at most. Of a tile's D²/c² it loses no more than this
of the largest: a sum of squares and products, none more than a quarter of it, rounded fourteen times."""
_AT_ONCE = 1024
"""Pairs whose bits stay in the processor's cache while they are counted."""
_THREADS = 4


@dataclass(frozen=True)
class Bits:
    """Complete answers of entries, 64 items a word, (entries, words), with their means.

    `benchmarks` are the words, the number of items and the squared weight of each.
    """

    means: NDArray[numpy.float64]
    words: NDArray[numpy.uint64]
    benchmarks: Sequence[tuple[slice, int, float]]

    @classmethod
    def of(cls, entries: Sequence[Sequence[PackedAnswers]]) -> Bits:
        import numpy

        items = numpy.array([answers.items for answers in entries[0]])
        right = numpy.array([[answers.right_count for answers in entry] for entry in entries], float)
        words, benchmarks, start = [], [], 0
        for k, number in enumerate(items.tolist()):
            size = -(-number // 64)
            packed = b"".join([entry[k].right_bytes().ljust(8 * size, b"\0") for entry in entries])
            words.append(numpy.frombuffer(packed, numpy.uint64).reshape(len(entries), size))
            benchmarks.append((slice(start, start + size), number, 1 / (number * items.size) ** 2.0))
            start += size
        return cls((right / items).mean(axis=1), numpy.hstack(words), benchmarks)

    def sorted(self) -> tuple[NDArray[numpy.int64], Bits]:
        """By falling mean, and the positions before."""
        import numpy

        order = numpy.argsort(-self.means, kind="stable")
        return order, Bits(self.means[order], self.words[order], self.benchmarks)

    def weights(self) -> NDArray[numpy.float32]:
        """The squared weight of every bit, 0 of those that fill up a word."""
        import numpy

        parts = [
            numpy.repeat([weight, 0], [number, 64 * (words.stop - words.start) - number])
            for words, number, weight in self.benchmarks
        ]
        return numpy.concatenate(parts).astype(numpy.float32)

    def unpacked(self, part: slice) -> NDArray[numpy.uint8]:
        import numpy

        return numpy.unpackbits(numpy.ascontiguousarray(self.words[part]).view(numpy.uint8), axis=1)

    def z(self, first: NDArray[numpy.int64], second: NDArray[numpy.int64]) -> NDArray[numpy.float64]:
        """Of pairs, the first less the second; 0 where the answers are the same."""
        import numpy

        variance = numpy.zeros(first.size)
        for start in range(0, first.size, _AT_ONCE):
            part = slice(start, start + _AT_ONCE)
            counts = numpy.bitwise_count(self.words[first[part]] ^ self.words[second[part]])
            for words, _, weight in self.benchmarks:
                # `einsum` adds short rows twice as fast as `sum` does.
                differing = numpy.einsum("ij->i", counts[:, words], dtype=numpy.uint32, casting="safe")
                variance[part] += weight * differing
        apart = self.means[first] - self.means[second]
        zero = numpy.zeros_like(apart)
        found: NDArray[numpy.float64] = numpy.divide(
            apart, numpy.sqrt(variance), out=zero, where=variance > 0
        )
        return found


def compare(bits: Bits, count: Count) -> None:
    """Count every pair of the entries."""
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    lock = threading.Lock()
    # The products are small: threads of the library's own would mostly wait for each other.
    with threadpool_limits(1, user_api="blas"), ThreadPoolExecutor(min(_THREADS, _processors())) as pool:
        board = _Board.of(bits)
        for _ in pool.map(lambda row: board.compare(row, count, lock), range(board.blocks)):
            pass


@dataclass(frozen=True)
class _Tile:
    """The pairs of the entries at some places with those at others; after `stage` of the numbers of known
    items the bounds will probably tell of most, after -1 they tell of all."""

    rows: slice
    columns: slice
    stage: int

    @property
    def shape(self) -> tuple[int, int]:
        return self.rows.stop - self.rows.start, self.columns.stop - self.columns.start

    @property
    def pairs(self) -> int:
        rows, columns = self.shape
        return rows * (rows - 1) // 2 if self.rows == self.columns else rows * columns


@dataclass(frozen=True)
class _Board:
    """Entries by falling mean; `order` has their positions before.

    `weights` are the items' squared weights in the order in which items are looked at, `deviations` the bits
    of that order, (entries, bytes), `held` the first of them as numbers. `total` are each entry's deviations,
    weighted, `rest` those beyond so many items as `known`, (known, entries). `shared` is what the entries of
    two blocks have in common on average among the known items, (known, blocks, blocks).
    """

    order: NDArray[numpy.int64]
    bits: Bits
    weights: NDArray[numpy.float32]
    deviations: NDArray[numpy.uint8]
    held: NDArray[numpy.float32]
    known: Sequence[int]
    total: NDArray[numpy.float32]
    rest: NDArray[numpy.float32]
    shared: NDArray[numpy.float32]

    @classmethod
    def of(cls, unsorted: Bits) -> _Board:
        import numpy

        order, bits = unsorted.sorted()
        size, of_bits = order.size, unsorted.weights()
        sample = bits.unpacked(slice(0, size, 1 + size // _SAMPLE)).mean(0, dtype=numpy.float32)
        items = numpy.argsort(-of_bits * sample * (1 - sample), kind="stable")
        items = items[: int((of_bits > 0).sum())]
        weights, usual = of_bits[items], sample[items] > 0.5
        known = [number for number in _KNOWN if number < items.size] + [items.size]
        beyond = (numpy.arange(items.size)[:, None] >= [0, *known]) * weights[:, None]
        packed, held, left, rates = [], [], [], []
        for start in range(0, size, _SIDE):
            deviates = bits.unpacked(slice(start, start + _SIDE))[:, items] ^ usual
            numbers = deviates.astype(numpy.float32)
            packed.append(numpy.packbits(deviates, axis=1))
            held.append(numbers[:, :_HELD])
            left.append((numbers @ beyond).T)
            rates.append(numbers.mean(0))
        rate, rest = numpy.stack(rates), numpy.hstack(left)
        return cls(
            order=order,
            bits=bits,
            weights=weights,
            deviations=numpy.concatenate(packed),
            held=numpy.concatenate(held),
            known=known,
            total=rest[0],
            rest=rest[1:],
            shared=numpy.stack([(rate[:, :to] * weights[:to]) @ rate[:, :to].T for to in known]),
        )

    @property
    def blocks(self) -> int:
        return len(self.shared[0])

    def compare(self, row: int, count: Count, lock: threading.Lock) -> None:
        """Count the pairs of one block of entries with each other and with those behind them."""
        starts = range(row * _SIDE, self.order.size, _SIDE)
        parts = [slice(start, min(start + _SIDE, self.order.size)) for start in starts]
        for part, stage in zip(parts, self._stages(row, count.limits.sure).tolist(), strict=True):
            self._compare(_Tile(parts[0], part, stage), count, lock)

    def _compare(self, tile: _Tile, count: Count, lock: threading.Lock) -> None:
        import numpy

        sure, possible = count.limits.sure, count.limits.possible
        better, rows, columns = self._bounded(tile, sure, possible)
        z = self.bits.z(rows, columns)
        surely, between = z > sure, (z > possible) & (z <= sure)
        better[rows[surely] - tile.rows.start, columns[surely] - tile.columns.start] = True
        above = numpy.add.reduce(better.view(numpy.uint8), axis=0, dtype=numpy.uint16)
        below = numpy.bitwise_count(numpy.packbits(better, axis=1)).sum(1, dtype=int)
        decided, left = int(below.sum()), int(between.sum())
        with lock:
            count.above[self.order[tile.columns]] += above
            count.below[self.order[tile.rows]] += below
            count.limits.learn(decided, tile.pairs - decided - left)
            count.add(Open(z[between], self.order[rows[between]], self.order[columns[between]]))

    def _stages(self, row: int, sure: float) -> NDArray[numpy.int64]:
        """Of each tile in a row of tiles."""
        import numpy

        starts = numpy.arange(row * _SIDE, self.order.size, _SIDE)
        ends = numpy.minimum(starts + _SIDE, self.order.size)
        first, last = self.bits.means[starts], self.bits.means[ends - 1]
        nearest = numpy.maximum(last[0] - first, 0) ** 2 / sure**2
        farthest = (first[0] - last) ** 2 / sure**2
        most = numpy.maximum.reduceat(self.total, starts)
        sizes = ends - starts
        total = numpy.add.reduceat(self.total, starts) / sizes
        rest = numpy.add.reduceat(self.rest, starts, axis=1) / sizes
        upper = total[0] + total - 2 * self.shared[:, row, row:]
        lower = upper - rest[:, :1] - rest
        told = (nearest > _MARGIN * upper) | (farthest * _MARGIN < lower) | (upper - lower < _NEAR * upper)
        told[-1] = True
        found: NDArray[numpy.int64] = numpy.where(nearest > most[0] + most + self._room, -1, told.argmax(0))
        return found

    def _bounded(
        self, tile: _Tile, sure: float, possible: float
    ) -> tuple[NDArray[numpy.bool_], NDArray[numpy.int64], NDArray[numpy.int64]]:
        """Which pairs of a tile are better for sure, and the places of those that are open.

        `beyond` is D²/c² less the most that V may be, in single precision; the room is for its rounding.
        """
        import numpy

        if tile.stage < 0:
            return numpy.ones(tile.shape, bool), numpy.zeros(0, int), numpy.zeros(0, int)
        means = self.bits.means
        farthest = float(means[tile.rows.start] - means[tile.columns.stop - 1]) ** 2
        room = self._room + _ROUNDING * farthest / sure**2
        slack = room + farthest / possible**2 - farthest / sure**2
        once = numpy.tri(*tile.shape, dtype=bool) if tile.rows == tile.columns else None
        beyond, done = self._with_nothing_shared(tile, sure), 0
        for upto, rest in zip(self.known[tile.stage :], self.rest[tile.stage :], strict=True):
            beyond += self._shared(tile, done, upto)
            done = upto
            better = beyond > room
            undecided = beyond > -slack - rest[tile.rows].max() - rest[tile.columns]
            undecided ^= better
            if once is not None:
                better &= ~once
                undecided &= ~once
            dearer = numpy.count_nonzero(undecided) * _EXACT * self.bits.words.shape[1]
            if dearer <= undecided.size * upto:  # than as many items again, if there are
                break
        rows, columns = numpy.divmod(numpy.flatnonzero(undecided), tile.shape[1])
        return better, rows + tile.rows.start, columns + tile.columns.start

    def _with_nothing_shared(self, tile: _Tile, sure: float) -> NDArray[numpy.float32]:
        """D²/c² - s - s of a tile's pairs."""
        import numpy

        # From the middle of the tile's means, where what single precision loses is least.
        middle = (self.bits.means[tile.rows.start] + self.bits.means[tile.columns.stop - 1]) / 2
        own, other = ((self.bits.means[part] - middle) / sure for part in (tile.rows, tile.columns))
        one = numpy.ones_like
        left = numpy.stack([own**2 - self.total[tile.rows], one(own), -2 * own], 1)
        right = numpy.stack([one(other), other**2 - self.total[tile.columns], other])
        product: NDArray[numpy.float32] = left.astype(numpy.float32) @ right.astype(numpy.float32)
        return product

    def _shared(self, tile: _Tile, done: int, upto: int) -> NDArray[numpy.float32]:
        """2 g of a tile's pairs over some of the items."""
        import numpy

        weighted = self._numbers(tile.rows, done, upto) * (numpy.float32(2) * self.weights[done:upto])
        product: NDArray[numpy.float32] = weighted @ self._numbers(tile.columns, done, upto).T
        return product

    def _numbers(self, part: slice, done: int, upto: int) -> NDArray[numpy.float32]:
        import numpy

        if upto <= self.held.shape[1]:
            return self.held[part, done:upto]
        packed = self.deviations[part, done // 8 : -(-upto // 8)]
        return numpy.unpackbits(packed, axis=1, count=upto - done).astype(numpy.float32)

    @property
    def _room(self) -> float:
        """More than single precision loses of a variance: each item adds a rounding to each of its sums."""
        return float(_ROUNDING * 2 * (self.weights.size + 16) * self.weights.sum())


def _processors() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
