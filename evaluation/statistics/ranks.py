"""Which ranks an entry of a board may have, given that its items are a sample: ranges instead of one number.

Entries that cannot be told apart have ranges that overlap; being tied is not transitive (a may be tied with
b and b with c where a is better than c), so that a board does not fall into groups, but each entry's range
says exactly what is known.
"""

from __future__ import annotations

import bisect
import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import TYPE_CHECKING

from evaluation.statistics import seed_ranks
from evaluation.statistics.packed import PackedAnswers

if TYPE_CHECKING:
    import numpy
    from numpy.typing import NDArray

    from evaluation.statistics.seed_ranks import Compared


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
    runs = {entry: [entries[entry], *further] for entry, further in (repeats or {}).items() if further}
    _check([*entries, *(run for own in runs.values() for run in own)])
    count = len(entries)
    if count < 2:
        return [RankRange(1, count) for _ in entries]

    alpha, tests = 1 - confidence, count * (count - 1)
    # Holm divides α by `tests` at first and, as at most half of the tests can be rejected (one direction of
    # each pair), never by less than half of them + 1. Only between these limits does the pairs' order count.
    sure, possible = _critical(alpha / tests), _critical(alpha / (tests // 2 + 1))
    above, below, open_pairs = _of_single_runs(entries, runs, sure, possible)
    if runs:
        better, worse, also_open = seed_ranks.compare(entries, runs, sure, possible)
        above, below, open_pairs = above + better, below + worse, open_pairs + also_open
    rejected = int(below.sum())
    for z_pair, higher, lower in sorted(open_pairs, reverse=True):
        if z_pair <= _critical(alpha / (tests - rejected)):
            break
        rejected += 1
        below[higher] += 1
        above[lower] += 1
    return [RankRange(1 + int(a), count - int(b)) for a, b in zip(above, below, strict=True)]


def _of_single_runs(
    entries: Sequence[Sequence[PackedAnswers]], repeated: Collection[int], sure: float, possible: float
) -> Compared:
    """The pairs among the entries that are not `repeated`."""
    import numpy

    single = [entry for entry in range(len(entries)) if entry not in repeated]
    above, below = numpy.zeros(len(entries), int), numpy.zeros(len(entries), int)
    if len(single) < 2:
        return above, below, []
    board = _Board.of([entries[entry] for entry in single])
    order = numpy.array(single)[board.order]
    above[order], below[order], pairs = board.compare(sure, possible)
    return above, below, [(z, int(order[place]), int(order[later])) for z, place, later in pairs]


@dataclass(frozen=True)
class _Board:
    """The entries sorted by falling mean; `order` has the position of each in the input.

    Benchmarks stand in the order of their share in the variance of a mean, those of few items first. `right`
    are counts (benchmarks, entries). The answers, 64 items a word, have the shape (words, entries) of the
    first benchmark, which is looked at for many entries in a row, and (entries, words) of the others, which
    are for single ones. `weights` are squared; `falling` are the means negated.
    """

    order: list[int]
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
            packed = [entries[entry][k].right_bytes() for entry in order]
            size = -(-len(packed[0]) // 8) * 8
            rows = numpy.frombuffer(b"".join(row.ljust(size, b"\0") for row in packed), numpy.uint64)
            words.append(rows.reshape(len(entries), -1))
        weights = 1 / (items * len(items)) ** 2.0
        counts = numpy.ascontiguousarray(right[order].T[first])
        return cls(
            order=order.tolist(),
            means=means[order],
            falling=(-means[order]).tolist(),
            items=items[first],
            right=counts,
            first=numpy.ascontiguousarray(words[0].T),
            others=words[1:],
            weights=weights[first],
        )

    def compare(self, sure: float, possible: float) -> Compared:
        """By place instead of by entry."""
        import numpy

        count = len(self.order)
        above, below = numpy.zeros(count, int), numpy.zeros(count, int)
        behind = numpy.zeros(count + 1, int)
        between: list[tuple[float, int, int]] = []
        for place in range(count - 1):
            z = self.statistics(place, sure, possible)
            better, end = z > sure, place + 1 + z.size
            above[place + 1 : end] += better
            behind[end] += 1
            below[place] += int(better.sum()) + count - end
            for step in ((z > possible) & ~better).nonzero()[0].tolist():
                between.append((float(z[step]), place, place + 1 + step))
        return above + behind.cumsum()[:-1], below, between

    def statistics(self, place: int, sure: float, possible: float) -> NDArray[numpy.float64]:
        """z of the entry at a place against each of those after it, never negative.

        Exact between `possible` and `sure`; elsewhere it may be given too low, but on the same side of both.
        Those at the end that are left out are above `sure`.
        """
        import numpy

        end = self._end(place, sure)
        apart = self.means[place] - self.means[place + 1 : end]
        squared = apart * apart
        # What the answers to a benchmark add to the variance, at most: as if no item were right in both.
        together = self.right[:, place, None] + self.right[:, place + 1 : end]
        most = numpy.minimum(together, 2 * self.items[:, None] - together)
        most *= self.weights[:, None]
        highest = most.sum(0)
        near = (squared <= sure**2 * highest).nonzero()[0]
        if not near.size:
            return _quotient(apart, highest)
        stop = int(near[-1]) + 1
        differing = self.first[:, place, None] ^ self.first[:, place + 1 : place + 1 + stop]
        known = self.weights[0] * numpy.bitwise_count(differing).sum(0, numpy.uint32)
        highest[:stop] += known - most[0, :stop]
        near = numpy.arange(stop)
        for k, words in enumerate(self.others, start=1):
            # Undecided as yet: the variance lies between what is known of it and the highest that it can be.
            undecided = squared[near] <= sure**2 * highest[near]
            undecided &= squared[near] > possible**2 * known
            near, known = near[undecided], known[undecided]
            if not near.size:
                break
            differing = words[near + (place + 1)] ^ words[place]
            variance = self.weights[k] * numpy.bitwise_count(differing).sum(1, numpy.uint32)
            known += variance
            highest[near] += variance - most[k, near]
        return _quotient(apart, highest)

    def _end(self, place: int, sure: float) -> int:
        """The first place so far behind that no answers could make the difference chance."""
        reach = sure * math.sqrt(float(self.weights @ self.items))
        return bisect.bisect_right(self.falling, reach - float(self.means[place]))


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
