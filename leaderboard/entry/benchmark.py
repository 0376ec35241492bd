"""What a reader should know of a benchmark, and how the published entries do on it."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache

from evaluation import benchmarks, data
from evaluation.benchmarks import Benchmark
from evaluation.benchmarks.samples import Decoding, Sample
from evaluation.rules import protocol as protocols
from evaluation.rules.protocol import Protocol
from leaderboard.reading.queries import counting
from leaderboard.reading.snapshots import Snapshot
from leaderboard.standing.entries import BenchmarkScore, Standing, Track
from portal.runs.models import Score

BINS = 20
SHOWN = 10


@dataclass(frozen=True)
class Placed:
    """An entry's score on the benchmark, and the score without the items that were trained on, if known."""

    standing: Standing
    score: BenchmarkScore
    without_leaked: float | None


@dataclass(frozen=True)
class Bin:
    """How many entries score from `low` to below `high` per cent; the fullest bin has the `height` 100."""

    low: float
    high: float
    count: int
    height: float

    @property
    def top(self) -> float:
        """Where a bar of this height begins, counted from above."""
        return 100 - self.height


@dataclass(frozen=True)
class Field:
    """How the `count` ranked entries of one track do on a benchmark; `best` are the first of them."""

    track: Track
    count: int
    median: float
    bins: tuple[Bin, ...]
    best: tuple[Placed, ...]


def example(benchmark: Benchmark, protocol: Protocol) -> Sample:
    """The first of the built-in demonstration items, as the protocol asks it."""
    return _example(benchmark.slug, protocol.number)


@cache
def _example(benchmark: str, protocol: int) -> Sample:
    asked = data.load(benchmarks.get(benchmark), data.DEMONSTRATION, protocols.get(protocol), 1, fetch=False)
    return asked.samples[0]


def decoding(benchmark: Benchmark, protocol: Protocol) -> Decoding:
    """The limits of the answers; a length that depends on the tokenizer is given as that of one token."""
    return benchmark.decoding(protocol, lambda _text: 1)


def field(benchmark: Benchmark, board: Snapshot) -> Field | None:
    """The ranked entries of the board's first track that has some; None where there are none."""
    ranked = [s for s in board.standings if s.rank is not None and benchmark.slug in s.entry.by_benchmark]
    if not ranked:
        return None
    track = ranked[0].track
    found = [(s, s.entry.by_benchmark[benchmark.slug]) for s in ranked if s.track is track]
    found.sort(key=lambda pair: (-(pair[1].value or 0.0), pair[0].entry.published_at, pair[0].entry.id))
    values = [score.value or 0.0 for _, score in found]
    first = found[:SHOWN]
    entries = [standing.entry.id for standing, _ in first]
    kept = _without_leaked(benchmark, entries, board.protocol) if track is Track.OFFICIAL else {}
    best = tuple(Placed(standing, score, kept.get(standing.entry.id)) for standing, score in first)
    return Field(track, len(found), statistics.median(values), _bins(values), best)


def _bins(values: Sequence[float]) -> tuple[Bin, ...]:
    counts = [0] * BINS
    for value in values:
        counts[min(BINS - 1, int(value * BINS))] += 1
    most, width = max(counts), 100 / BINS
    return tuple(
        Bin(width * place, width * (place + 1), count, 100 * count / most)
        for place, count in enumerate(counts)
    )


def _without_leaked(benchmark: Benchmark, submissions: Sequence[int], protocol: int) -> Mapping[int, float]:
    """By submission: the share right of the official items that do not stand in the training set too."""
    if not benchmark.leaked:
        return {}
    rows = Score.objects.filter(
        evaluation__in=counting(submissions, protocol=protocol).values("pk"),
        benchmark=benchmark.slug,
        official=True,
        n=benchmark.rows,
    ).values_list("evaluation__submission", "correct", "correct_bits")
    # Without bits of all items it is not known which answers were right.
    return {
        submission: (correct - right_at(bytes(bits), benchmark.leaked))
        / (benchmark.rows - len(benchmark.leaked))
        for submission, correct, bits in rows
        if 8 * len(bits) >= benchmark.rows
    }


def right_at(bits: bytes, positions: Sequence[int]) -> int:
    """How many of the items at these positions are right; the first item is the highest bit."""
    return sum(bits[position // 8] >> (7 - position % 8) & 1 for position in positions)
