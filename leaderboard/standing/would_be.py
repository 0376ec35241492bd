"""The place that an entry would take on a board that it is not on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from leaderboard.standing.entries import BenchmarkScore, Entry, SeedRun, Standing
from leaderboard.standing.ranking import standings

NEIGHBOURS = 2


@dataclass(frozen=True)
class WouldBe:
    """Its standing by the mean, without a range, and those next to it in its track and precision: as they
    would stand with it there.

    One of which other runs are on the board has the place of the mean over all of them, `joint`.
    """

    standing: Standing
    above: tuple[Standing, ...]
    below: tuple[Standing, ...]
    joint: Entry | None = None


def would_be(entry: Entry, board: Sequence[Standing], benchmarks: Sequence[str]) -> WouldBe:
    """Place `entry` among those of `board`, which are of its challenge and protocol."""
    others = [standing.entry for standing in board if standing.entry.id != entry.id]
    fellow = next((other for other in others if _is_fellow(entry, other)), None)
    joint = _joint(entry, fellow) if fellow else None
    placed = standings([*(other for other in others if other is not fellow), joint or entry], benchmarks)
    own = next(standing for standing in placed if standing.entry.id == entry.id)
    if own.rank is None:
        return WouldBe(own, (), ())
    alike = [
        standing
        for standing in placed
        if standing.rank is not None
        and (standing.track, standing.entry.precision) == (own.track, entry.precision)
    ]
    at = alike.index(own)
    above, below = alike[max(0, at - NEIGHBOURS) : at], alike[at + 1 : at + 1 + NEIGHBOURS]
    if joint:
        own = replace(own, entry=_itself(entry, own.entry))
    return WouldBe(own, tuple(above), tuple(below), joint)


def _is_fellow(entry: Entry, other: Entry) -> bool:
    """Whether both are runs of one method, evaluated alike, as `leaderboard.standing.seeds` joins them."""
    method = (entry.repeats or entry.id) == (other.repeats or other.id)
    return method and _conditions(entry) == _conditions(other) and not _has_gaps(entry, other)


def _conditions(entry: Entry) -> tuple[object, ...]:
    data = tuple((score.benchmark, score.data, score.n) for score in entry.scores)
    return entry.protocol, entry.precision, entry.adapted, data


def _has_gaps(*entries: Entry) -> bool:
    return any(score.unscored or score.value is None for entry in entries for score in entry.scores)


def _joint(entry: Entry, fellow: Entry) -> Entry:
    """`entry` with the scores of the mean that `fellow` and it would be."""
    runs = fellow.runs or (SeedRun(fellow.id, fellow.average or 0.0),)
    scores = tuple(
        replace(own, value=value, correct=round(value * own.n))
        for own in entry.scores
        for value in [_mean(own, fellow.by_benchmark[own.benchmark], len(runs))]
    )
    return replace(entry, scores=scores, runs=(*runs, SeedRun(entry.id, entry.average or 0.0)))


def _itself(entry: Entry, placed: Entry) -> Entry:
    """`entry` with its own scores, of which `placed` has the mean and what that gained."""
    if placed.gain is None or placed.average is None or entry.average is None:
        return entry
    return replace(entry, gain=placed.gain + entry.average - placed.average)


def _mean(own: BenchmarkScore, others: BenchmarkScore, count: int) -> float:
    return ((own.value or 0.0) + count * (others.value or 0.0)) / (count + 1)
