"""The place that an entry would take on a board that it is not on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from leaderboard.standing.entries import Entry, Standing
from leaderboard.standing.ranking import standings

NEIGHBOURS = 2


@dataclass(frozen=True)
class WouldBe:
    """Its standing by the mean, without a range, and those next to it in its track and precision: as they
    would stand with it there."""

    standing: Standing
    above: tuple[Standing, ...]
    below: tuple[Standing, ...]


def would_be(entry: Entry, board: Sequence[Standing], benchmarks: Sequence[str]) -> WouldBe:
    """Place `entry` among those of `board`, which are of its challenge and protocol."""
    others = [standing.entry for standing in board if standing.entry.id != entry.id]
    placed = standings([*others, entry], benchmarks)
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
    return WouldBe(
        own, tuple(alike[max(0, at - NEIGHBOURS) : at]), tuple(alike[at + 1 : at + 1 + NEIGHBOURS])
    )
