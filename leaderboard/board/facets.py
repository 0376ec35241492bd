"""What a view of a board can be narrowed by: the choices there are, those made, and the ready ones."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from functools import partial

from leaderboard.board import column
from leaderboard.board.columns import columns_of, facets_by_name, limited
from leaderboard.board.filters import (
    EVALUATED,
    FIXED,
    SECTIONS,
    Filters,
    apply,
    section_of,
    shown_columns,
)
from leaderboard.reading.snapshots import Snapshot
from leaderboard.standing.headline import FRUGAL

_SMALL = 3.0
_SECTION_TITLES = {
    "ranked": "Ranked",
    "demonstration": "Demonstration",
    "declared": "Declared only",
    "apart": "Apart",
}


@dataclass(frozen=True)
class Choice:
    """A value that may be chosen, with the number of entries that pass the other filters and have it."""

    value: str
    title: str
    count: int
    chosen: bool


@dataclass(frozen=True)
class TeamChoice:
    """A team whose entries may be shown alone."""

    id: int
    name: str
    chosen: bool


@dataclass(frozen=True)
class Facet:
    """Values of which any may hold."""

    name: str
    title: str
    choices: tuple[Choice, ...]


@dataclass(frozen=True)
class Limit:
    """An upper bound of a cost, in its unit."""

    name: str
    title: str
    unit: str
    value: float | None


@dataclass(frozen=True)
class Link:
    """A view that is one step away; `active` where it is this one already, and the link undoes it."""

    title: str
    query: str
    active: bool
    count: int | None = None


@dataclass(frozen=True)
class ColumnChoice:
    """A column that may be shown and pinned."""

    key: str
    title: str
    meaning: str
    shown: bool
    pinned: bool


def facets(snapshot: Snapshot, filters: Filters) -> list[Facet]:
    """What can be chosen: only where there is a choice, or where one is made."""
    found = []
    for facet in facets_by_name().values():
        chosen = filters.chosen(facet.name)
        values = sorted({*_counts(snapshot, Filters(), facet), *chosen}, key=partial(_order, facet))
        if len(values) > 1 or chosen:
            counts = _counts(snapshot, replace(filters, facets=filters.choosing(facet.name, ())), facet)
            choices = tuple(Choice(v, v, counts[v], v in chosen) for v in values)
            found.append(Facet(facet.name, facet.title, choices))
    return found


def _counts(snapshot: Snapshot, filters: Filters, facet: column.Facet) -> Counter[str]:
    """How many entries that pass the filters have each value of a facet."""
    view = filters.same_entries
    return snapshot.derived.get(
        (facet.name, view),
        lambda: Counter(value for s in apply(snapshot, view) if (value := facet.of(s.entry))),
    )


def teams(snapshot: Snapshot, filters: Filters) -> list[TeamChoice]:
    """The teams of the board by their names; none where there is one only."""
    names = snapshot.derived.get(
        "teams", lambda: {s.entry.team_id: s.entry.team for s in snapshot.standings if s.entry.team}
    )
    if len(names) < 2 and not filters.team:
        return []
    return [
        TeamChoice(team, name, team in filters.team)
        for team, name in sorted(names.items(), key=lambda pair: (pair[1].casefold(), pair[0]))
    ]


def _order(facet: column.Facet, value: str) -> tuple[int, str]:
    return (facet.values.index(value), "") if facet.values else (0, value.casefold())


def limits(filters: Filters) -> list[Limit]:
    return [
        Limit(f"max_{found.key}", found.title, found.unit, filters.limit(found.key)) for found in limited()
    ]


def presets(filters: Filters) -> list[Link]:
    """Ready narrowings, each on or off by itself."""
    evaluated = tuple(trust.value for trust in EVALUATED)
    is_small = filters.max_size == _SMALL and filters.min_size is None
    is_frugal = filters.limit("communication") == FRUGAL
    is_evaluated = set(filters.trust) == set(evaluated)
    frugal = filters.limiting("communication", None if is_frugal else FRUGAL)
    return [
        Link("At most 3B", filters.to_query(max_size=None if is_small else _SMALL, min_size=None), is_small),
        Link(f"At most {FRUGAL:g} GB communication", filters.to_query(limits=frugal), is_frugal),
        Link(
            "Evaluated here only",
            filters.to_query(facets=filters.choosing("trust", () if is_evaluated else evaluated)),
            is_evaluated,
        ),
    ]


def sections(snapshot: Snapshot, filters: Filters) -> list[Link]:
    """The sections with the number that passes the other filters; none where there is only one."""
    every = replace(filters.same_entries, show="")
    counts = snapshot.derived.get(("sections", every), lambda: _sizes(snapshot, every))
    if len(counts) < 2 and not filters.show:
        return []
    found = [Link("All", filters.to_query(show=""), not filters.show, sum(counts.values()))]
    for name in SECTIONS:
        if counts[name] or filters.show == name:
            link = Link(
                _SECTION_TITLES[name], filters.to_query(show=name), filters.show == name, counts[name]
            )
            found.append(link)
    return found


def _sizes(snapshot: Snapshot, filters: Filters) -> Counter[str]:
    return Counter(section_of(standing) for standing in apply(snapshot, filters))


def column_choices(snapshot: Snapshot, filters: Filters) -> list[ColumnChoice]:
    shown = {column.key for column in shown_columns(snapshot, filters)}
    return [
        ColumnChoice(c.key, c.heading, c.meaning, c.key in shown, c.key in filters.pins)
        for c in columns_of(snapshot.challenge, snapshot.protocol)
        if c.key not in FIXED
    ]


def chosen(snapshot: Snapshot, filters: Filters) -> list[Link]:
    """Every narrowing in force, with the view that is without it."""
    teams = {s.entry.team_id: s.entry.team for s in snapshot.standings} if filters.team else {}
    found = [Link(f"“{filters.q}”", filters.to_query(q=""), active=True)] if filters.q else []
    for name, values in filters.facets:
        for value in values:
            rest = filters.choosing(name, (other for other in values if other != value))
            found.append(Link(value, filters.to_query(facets=rest), active=True))
    for team in filters.team:
        others = tuple(other for other in filters.team if other != team)
        found.append(Link(teams.get(team, f"Team {team}"), filters.to_query(team=others), active=True))
    ends = (
        ("min_size", "at least {:g}B"),
        ("max_size", "at most {:g}B"),
        ("since", "since {}"),
        ("until", "until {}"),
        ("as_of", "as of {}"),
    )
    for name, text in ends:
        value = getattr(filters, name)
        if value is not None:
            found.append(Link(text.format(value), filters.to_query(**{name: None}), active=True))
    for limit in limits(filters):
        if limit.value is not None:
            without = filters.limiting(limit.name.removeprefix("max_"), None)
            text = f"{limit.title} at most {limit.value:g} {limit.unit}"
            found.append(Link(text, filters.to_query(limits=without), active=True))
    return found
