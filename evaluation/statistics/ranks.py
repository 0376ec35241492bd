"""Which ranks an entry of a board may have, given that its items are a sample: ranges instead of one number.

Entries that cannot be told apart have ranges that overlap; being tied is not transitive (a may be tied with
b and b with c where a is better than c), so that a board does not fall into groups, but each entry's range
says exactly what is known.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from evaluation.statistics import seed_ranks
from evaluation.statistics.holm_limits import Count, Limits, Open
from evaluation.statistics.packed import PackedAnswers
from evaluation.statistics.settled import Settled, compare_single, name_of
from evaluation.statistics.significant import Bits


@dataclass(frozen=True, slots=True)
class RankRange:
    """The ranks from `best` to `worst` that an entry may have; 1 is the top."""

    best: int
    worst: int

    @property
    def tied(self) -> bool:
        return self.best < self.worst


@dataclass(frozen=True)
class Ranked:
    """Ranges of ranks, and what is settled of the pairs while the board only grows."""

    ranges: list[RankRange]
    settled: Settled | None


def rank_ranges(
    entries: Sequence[Sequence[PackedAnswers]],
    repeats: Mapping[int, Sequence[Sequence[PackedAnswers]]] | None = None,
    *,
    confidence: float = 0.95,
) -> list[RankRange]:
    """As `ranked`, the ranges alone."""
    return ranked(entries, repeats, confidence=confidence).ranges


def ranked(
    entries: Sequence[Sequence[PackedAnswers]],
    repeats: Mapping[int, Sequence[Sequence[PackedAnswers]]] | None = None,
    *,
    confidence: float = 0.95,
    before: Settled | None = None,
    names: Sequence[bytes] | None = None,
) -> Ranked:
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
    take some hundredths of a second, 10,000 one second. With what was settled `before`, of a board that has
    only grown since, it grows with the number. Whoever ranks often keeps the entries' `names` (`name_of`).

    Raises ValueError for incomplete or unlike answers.
    """
    import numpy

    runs = {entry: [entries[entry], *further] for entry, further in (repeats or {}).items() if further}
    _check([*entries, *(run for own in runs.values() for run in own)])
    count = len(entries)
    if count < 2:
        return Ranked([RankRange(1, count) for _ in entries], None)
    alpha = 1 - confidence
    single = numpy.array([entry for entry in range(count) if entry not in runs], int)
    if single.size > 1:
        alone = single.tolist()
        bits = Bits.of([entries[entry] for entry in alone])
        own = [names[entry] if names else name_of(entries[entry]) for entry in alone]
        among, after = compare_single(bits, own, alpha, count, before)
        found = among.of(single, count)
    else:
        found, after = Count(Limits(alpha, count, count), count), None
    if runs:
        _add_means(found, entries, runs)
    found.finish()
    best, worst = 1 + found.above, count - found.below
    ranges = [RankRange(*reach) for reach in zip(best.tolist(), worst.tolist(), strict=True)]
    return Ranked(ranges, after)


def _add_means(
    found: Count,
    entries: Sequence[Sequence[PackedAnswers]],
    runs: Mapping[int, Sequence[Sequence[PackedAnswers]]],
) -> None:
    """The pairs in which one at least is a mean over runs."""
    import numpy

    limits = found.limits
    above, below, between = seed_ranks.compare(entries, runs, limits.sure, limits.possible)
    found.above += above
    found.below += below
    rejected = int(below.sum())
    pairs = len(runs) * (2 * len(entries) - len(runs) - 1) // 2
    limits.learn(rejected, pairs - rejected - len(between))
    z = numpy.array([pair[0] for pair in between], float)
    found.add(Open(z, *(numpy.array([pair[end] for pair in between], int) for end in (1, 2))))


def _check(entries: Sequence[Sequence[PackedAnswers]]) -> None:
    if len({len(entry) for entry in entries}) > 1 or not all(entries):
        raise ValueError("entries of one board answer the same benchmarks, at least one")
    for answers in zip(*entries, strict=True):  # to one benchmark
        if len({own.items for own in answers}) > 1:
            raise ValueError("entries of one board answer the same benchmarks, at least one")
        if not all(own.complete for own in {own.scored_bytes: own for own in answers}.values()):
            raise ValueError("an entry with unscored items has no rank")
