"""The tables of a board's page: sections of rows of cells, ready to be written."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate, groupby

from leaderboard.board.column import Column, Group
from leaderboard.board.filters import FIXED, Filters, section_of
from leaderboard.figures import signed_points
from leaderboard.reading.snapshot_format import Snapshot
from leaderboard.standing.entries import Entry, Standing
from leaderboard.standing.front import front_of

PAGE_SIZE = 50


@dataclass(frozen=True)
class BoardCell:
    """One figure: as `text` ("" where nothing is known), with its interval in per cent or its basis.

    `chance` is the interval of a difference that may be none, in words, else "".
    """

    column: Column
    text: str
    value: float | None = None
    low: float | None = None
    high: float | None = None
    basis: str = ""
    impossible: bool = False
    chance: str = ""


@dataclass(frozen=True)
class BoardRow:
    """A standing with its cells after rank and method. `begins_group`: every entry above is surely better
    than this one and every entry below. `on_front`: none of its ranking in this view is better for as little
    of the chosen cost."""

    standing: Standing
    rank: str
    cells: tuple[BoardCell, ...]
    begins_group: bool
    on_front: bool = False

    @property
    def entry(self) -> Entry:
        return self.standing.entry


@dataclass(frozen=True)
class Head:
    """The head of a column: where its link leads, and how the table is sorted by it ("" not at all)."""

    column: Column
    query: str
    sorted: str
    pinned: bool


@dataclass(frozen=True)
class Section:
    """A table: the rows on this page of one section of the board, of one ranking of it."""

    name: str
    precision: str
    rows: tuple[BoardRow, ...]
    ranked: bool
    tested: bool

    @property
    def is_demonstration(self) -> bool:
        return all(row.entry.mark == "demonstration" for row in self.rows)

    @property
    def divided(self) -> bool:
        """Whether a line stands in it."""
        return any(row.begins_group for row in self.rows)

    @property
    def id(self) -> str:
        return f"board-{self.name}-{self.precision}".rstrip("-")


@dataclass(frozen=True)
class Page:
    """One page of a view. `found` are all that pass the filters, `number` counts from 1."""

    found: Sequence[Standing]
    columns: tuple[Column, ...]
    filters: Filters
    board: Snapshot | None = None

    @cached_property
    def pages(self) -> int:
        return max(1, math.ceil(len(self.found) / PAGE_SIZE))

    @cached_property
    def number(self) -> int:
        return min(self.filters.page, self.pages)

    @property
    def first(self) -> int:
        return (self.number - 1) * PAGE_SIZE + 1 if self.found else 0

    @property
    def last(self) -> int:
        return min(self.number * PAGE_SIZE, len(self.found))

    @property
    def previous_query(self) -> str | None:
        return self.filters.to_query(page=self.number - 1) if self.number > 1 else None

    @property
    def next_query(self) -> str | None:
        return self.filters.to_query(page=self.number + 1) if self.number < self.pages else None

    @cached_property
    def axis(self) -> tuple[int, int]:
        """The ends, in per cent, of the axis on which all averages of the page can be drawn."""
        intervals = [s.entry.interval for s in self._shown if s.entry.interval]
        if not intervals:
            return 0, 100
        low = math.floor(10 * min(low for low, _ in intervals)) * 10
        high = math.ceil(10 * max(high for _, high in intervals)) * 10
        return low, max(high, low + 10)

    @property
    def axis_span(self) -> int:
        return self.axis[1] - self.axis[0]

    @cached_property
    def heads(self) -> tuple[Head, ...]:
        return tuple(self._head(column) for column in self.columns)

    @cached_property
    def sections(self) -> tuple[Section, ...]:
        """The sections on this page."""
        return tuple(
            self._section(name, precision, list(members))
            for (name, precision), members in groupby(self._shown, key=_section_key)
        )

    def elsewhere(self, board: Snapshot) -> list[Standing]:
        """The entries of the board chosen to be compared that are not on this page."""
        here = {standing.entry.id for standing in self._shown}
        chosen = [board.by_id[e] for e in self.filters.entries if e in board.by_id and e not in here]
        return [standing for standing in chosen if not standing.entry.left]

    @property
    def _shown(self) -> Sequence[Standing]:
        return self.found[self.first - 1 : self.last] if self.found else ()

    def _section(self, name: str, precision: str, standings: list[Standing]) -> Section:
        return Section(
            name=name,
            precision=precision,
            rows=tuple(self._rows(standings)),
            ranked=name in ("ranked", "demonstration"),
            tested=any(standing.rank_range for standing in standings),
        )

    def _rows(self, standings: list[Standing]) -> Iterator[BoardRow]:
        rank = self.columns[0]
        columns = [column for column in self.columns if column.key not in FIXED]
        for standing in standings:
            cells = tuple(_cell(column, standing) for column in columns)
            number = standing.entry.id
            yield BoardRow(
                standing, rank.text(standing), cells, number in self._begin_groups, number in self.front
            )

    @cached_property
    def cost(self) -> Column | None:
        """The one cost that a phone shows of a row, and that the front is of: the one asked for, else the one
        sorted by, else the first there is."""
        found = [column for column in self.columns if column.group is Group.COST]
        asked = (self.filters.cost, self.filters.sort.lstrip("-"))
        return next((c for key in asked for c in found if c.key == key), found[0] if found else None)

    @property
    def costs(self) -> list[Column]:
        return [column for column in self.columns if column.group is Group.COST]

    @cached_property
    def front(self) -> frozenset[int]:
        """The entries that are the best of their ranking for what they cost."""
        if self.cost is None or not self.board:
            return frozenset()
        key, view = self.cost.key, self.filters.same_entries
        return self.board.derived.get(("front", key, view), lambda: front_of(self.found, key))

    @cached_property
    def _begin_groups(self) -> frozenset[int]:
        """The entries that a line stands above: only in whole rankings in the board's own order."""
        if self.filters.sort or self.filters.narrows:
            return frozenset()
        rankings = groupby(self.found, key=_section_key)
        return frozenset(begin for _, members in rankings for begin in _separated(list(members)))

    def _head(self, column: Column) -> Head:
        key = column.key
        falls = f"-{key}"
        sort = self.filters.sort
        ways = (falls, key) if column.falls else (key, falls)
        # The first click sorts as one reads the column, the second the other way, the third not at all.
        following = {ways[0]: ways[1], ways[1]: ""}.get(sort, ways[0])
        if key == "rank":
            following = "" if sort else falls
        state = {key: "ascending", falls: "descending"}.get(sort, "")
        return Head(column, self.filters.to_query(sort=following), state, key in self.filters.pins)


def _separated(ranking: Sequence[Standing]) -> Iterator[int]:
    """The entries of a ranking above which all ranges of ranks end before any of the others begins.

    All ranges hold at once, so that there every entry above is better than every one below. None where an
    entry has no range: it may belong anywhere.
    """
    places = [standing.rank_range for standing in ranking]
    ranges = [place for place in places if place is not None]
    if len(ranges) < len(places):
        return
    # From the end: the best rank that any entry from here on may have.
    best = list(accumulate((place.best for place in reversed(ranges)), min))[::-1]
    worst = accumulate((place.worst for place in ranges), max)
    for standing, above, below in zip(ranking[1:], worst, best[1:], strict=False):
        if above < below:
            yield standing.entry.id


def _section_key(standing: Standing) -> tuple[str, str]:
    name = section_of(standing)
    return name, standing.entry.precision if name == "demonstration" else ""


def _cell(column: Column, standing: Standing) -> BoardCell:
    value, interval, chance = None, column.interval_of(standing), ""
    if column.key == "average" and standing.entry.average is not None:
        value = 100 * standing.entry.average
    if column.difference and interval and interval[0] <= 0 <= interval[1]:
        chance = f"95% interval {signed_points(interval[0])} to {signed_points(interval[1])} {column.unit}"
    return BoardCell(
        column=column,
        text=column.text(standing),
        value=value,
        low=100 * interval[0] if interval else None,
        high=100 * interval[1] if interval else None,
        basis=column.basis_of(standing),
        impossible=bool(standing.entry.flags) and column.key in standing.entry.flagged,
        chance=chance,
    )
