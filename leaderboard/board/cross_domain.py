"""One method, or one base model, over all challenges. Pure.

A method is the same where its name, team and base model are; a base model stands with its best entry in each
challenge. Places are those within this comparison: 1 plus the number of its rows that have a higher average
in the challenge. Only rows with a figure in every challenge are ordered by the mean of places or of averages;
what is missing is shown as missing, and such rows come after: those with more challenges first, then by which
challenges these are, so that only rows that share them stand in an order.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from leaderboard.reading.snapshot_format import Snapshot
from leaderboard.standing.entries import Standing, Track


class By(StrEnum):
    """What a row is."""

    METHOD = "method"
    BASE_MODEL = "base_model"


class Order(StrEnum):
    """What complete rows are ordered by."""

    PLACE = "place"
    AVERAGE = "average"


@dataclass(frozen=True)
class DomainCell:
    """A row's best entry in one challenge and its place `among` so many rows."""

    standing: Standing
    place: int
    among: int

    @property
    def average(self) -> float:
        assert self.standing.entry.average is not None
        return self.standing.entry.average


@dataclass(frozen=True)
class DomainRow:
    """`cells` by challenge, None where nothing is published. Both means are over the challenges there are;
    `rank` is None unless that is all of them."""

    cells: Mapping[str, DomainCell | None]
    rank: int | None = None

    @property
    def known(self) -> list[DomainCell]:
        return [cell for cell in self.cells.values() if cell]

    @property
    def missing(self) -> tuple[bool, ...]:
        """By challenge, in their order: whether nothing is known."""
        return tuple(cell is None for cell in self.cells.values())

    @property
    def first(self) -> Standing:
        return self.known[0].standing

    @property
    def is_complete(self) -> bool:
        return len(self.known) == len(self.cells)

    @property
    def average(self) -> float:
        return math.fsum(cell.average for cell in self.known) / len(self.known)

    @property
    def place(self) -> float:
        return sum(cell.place for cell in self.known) / len(self.known)


def compare(
    boards: Sequence[Snapshot], track: Track, by: By = By.METHOD, order: Order = Order.PLACE
) -> list[DomainRow]:
    """The rows of one track in order: the complete ones with their ranks (equal ones share one), then others.

    Unranked and flagged entries take no part.
    """
    identity = _IDENTITY[by]
    best: dict[Hashable, dict[str, Standing]] = {}
    for board in boards:
        for standing in board.standings:
            if _takes_part(standing, track):
                own = best.setdefault(identity(standing), {})
                # Standings come in the board's order: the first is the best.
                own.setdefault(board.challenge, standing)
    places = {board.challenge: _places(best.values(), board.challenge) for board in boards}
    rows = [
        DomainRow(
            {
                board.challenge: DomainCell(found, *places[board.challenge][found.entry.id])
                if (found := own.get(board.challenge))
                else None
                for board in boards
            }
        )
        for own in best.values()
    ]
    value = _VALUE[order]
    rows.sort(key=lambda row: (-len(row.known), row.missing, value(row), row.first.entry.id))
    complete = [value(row) for row in rows if row.is_complete]
    return [
        DomainRow(row.cells, 1 + sum(other < value(row) for other in complete)) if row.is_complete else row
        for row in rows
    ]


def tracks(boards: Sequence[Snapshot]) -> list[Track]:
    """The tracks that have entries which can be compared, the most trustworthy first."""
    found = {s.track for board in boards for s in board.standings if _takes_part(s, s.track)}
    return [track for track in Track if track in found]


def _takes_part(standing: Standing, track: Track) -> bool:
    if standing.track is not track or standing.entry.average is None or standing.entry.flags:
        return False
    return standing.rank is not None or track is Track.DECLARED


def _places(rows: object, challenge: str) -> dict[int, tuple[int, int]]:
    """By entry: 1 plus the number of rows that are better in the challenge, and how many there are, of the
    same precision."""
    found = [own[challenge] for own in rows if challenge in own]  # type: ignore[attr-defined]
    alike: dict[str, list[Standing]] = {}
    for standing in found:
        alike.setdefault(_precision(standing), []).append(standing)
    places: dict[int, tuple[int, int]] = {}
    for members in alike.values():
        averages = sorted(-(s.entry.average or 0.0) for s in members)
        first = {average: place for place, average in reversed(list(enumerate(averages, start=1)))}
        places |= {s.entry.id: (first[-(s.entry.average or 0.0)], len(members)) for s in members}
    return places


def _precision(standing: Standing) -> str:
    """Official entries have the protocol's, which may differ between challenges; others are kept apart."""
    return standing.entry.precision if standing.track is Track.DEMONSTRATION else ""


_IDENTITY: Mapping[By, Callable[[Standing], Hashable]] = {
    By.METHOD: lambda s: (
        s.entry.method.casefold(),
        s.entry.team_id,
        s.entry.hub_id.casefold(),
        _precision(s),
    ),
    By.BASE_MODEL: lambda s: (s.entry.hub_id.casefold(), _precision(s)),
}
_VALUE: Mapping[Order, Callable[[DomainRow], float]] = {
    Order.PLACE: lambda row: row.place,
    Order.AVERAGE: lambda row: -row.average,
}
