"""A case's scores beside those that tell whether they are plausible: what was declared, the untuned base
model, reference baselines and the neighbours on the board. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from evaluation.benchmarks import BENCHMARKS, Benchmark
from leaderboard.standing.entries import BenchmarkScore, Entry, Standing
from leaderboard.standing.would_be import WouldBe

BASELINES = 2
"""How many reference baselines stand beside a case."""

_UNTUNED = "Untuned base model"


@dataclass(frozen=True)
class Beside:
    """An entry beside the case, what it is to it, and its rank as it would be with the case on the board."""

    role: str
    entry: Entry
    rank: int | None


@dataclass(frozen=True)
class ScoreLine:
    """A benchmark: the case's own score, what its team declared, and those of the entries beside it."""

    benchmark: Benchmark
    own: BenchmarkScore
    declared: Decimal | None
    others: tuple[BenchmarkScore | None, ...]

    @property
    def is_declared_otherwise(self) -> bool:
        """Whether the declared figure is outside of the 95% interval of what was found here."""
        if self.declared is None or self.own.interval is None:
            return False
        low, high = self.own.interval
        return not 100 * low <= float(self.declared) <= 100 * high


@dataclass(frozen=True)
class Comparison:
    """The table of a case's scores: itself, what was declared, and the entries `beside` it in this order."""

    own: Entry
    standing: Standing
    beside: tuple[Beside, ...]
    lines: tuple[ScoreLine, ...]
    has_declared: bool

    @property
    def has_untuned(self) -> bool:
        return any(one.role == _UNTUNED for one in self.beside)


def compare(place: WouldBe, peers: Sequence[Entry], declared: Mapping[str, Decimal]) -> Comparison:
    """`peers` are of its track and precision, `place` is the case among them; `declared` in per cent."""
    own = place.standing.entry
    others = [peer for peer in peers if peer.id != own.id]
    beside = [*_untuned(own, others), *_baselines(own, others), *_neighbours(place)]
    once: dict[int, Beside] = {}
    for one in beside:
        once.setdefault(one.entry.id, one)
    columns = tuple(once.values())
    lines = tuple(
        ScoreLine(
            BENCHMARKS[score.benchmark],
            score,
            declared.get(score.benchmark),
            tuple(column.entry.by_benchmark.get(score.benchmark) for column in columns),
        )
        for score in own.scores
    )
    return Comparison(own, place.standing, columns, lines, bool(declared))


def _untuned(own: Entry, others: Iterable[Entry]) -> list[Beside]:
    found = next((peer for peer in others if not peer.adapted and peer.hub_id == own.hub_id), None)
    return [] if found is None or not own.adapted else [Beside(_UNTUNED, found, None)]


def _baselines(own: Entry, others: Iterable[Entry]) -> list[Beside]:
    """The best reference baselines, those on the same base model first."""
    references = [peer for peer in others if peer.kind == "reference" and peer.adapted]
    references.sort(key=lambda peer: (peer.hub_id != own.hub_id, -(peer.average or 0.0), peer.id))
    return [Beside("Reference baseline", peer, None) for peer in references[:BASELINES]]


def _neighbours(place: WouldBe) -> list[Beside]:
    return [
        *(Beside("Above on the board", other.entry, other.rank) for other in place.above),
        *(Beside("Below on the board", other.entry, other.rank) for other in place.below),
    ]
