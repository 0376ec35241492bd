"""What a view of a board can be narrowed by: the choices there are, those made, and the ready ones."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace

from leaderboard.board.columns import COLUMNS, columns_of
from leaderboard.board.filters import (
    EVALUATED,
    FIXED,
    LIMITS,
    SECTIONS,
    Filters,
    apply,
    section_of,
    shown_columns,
)
from leaderboard.reading.snapshots import Snapshot
from leaderboard.standing.entries import Entry, Trust
from leaderboard.standing.headline import FRUGAL

_UNITS = {"gpu_time": "h"}
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
    for name, (title, _) in _FACETS.items():
        chosen = getattr(filters, name)
        values = sorted({*_counts(snapshot, Filters(), name), *chosen}, key=lambda value: _order(name, value))
        if len(values) > 1 or chosen:
            counts = _counts(snapshot, replace(filters, **{name: ()}), name)  # type: ignore[arg-type]
            choices = tuple(Choice(v, v, counts[v], v in chosen) for v in values)
            found.append(Facet(name, title, choices))
    return found


_FACETS: dict[str, tuple[str, Callable[[Entry], str]]] = {
    "family": ("Base model", lambda entry: entry.family),
    "strategy": ("Strategy", lambda entry: entry.strategy),
    "peft": ("PEFT", lambda entry: entry.peft),
    "trust": ("Trust", lambda entry: entry.trust.value),
}


def _counts(snapshot: Snapshot, filters: Filters, name: str) -> Counter[str]:
    """How many entries that pass the filters have each value of a facet."""
    view = filters.same_entries
    of = _FACETS[name][1]
    return snapshot.derived.get(
        (name, view), lambda: Counter(value for s in apply(snapshot, view) if (value := of(s.entry)))
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


def _order(name: str, value: str) -> tuple[int, str]:
    return (list(Trust).index(Trust(value)), "") if name == "trust" else (0, value.casefold())


def limits(filters: Filters) -> list[Limit]:
    return [
        Limit(f"max_{kind}", COLUMNS[kind].title, _UNITS.get(kind, "GB"), filters.limit(kind))
        for kind in LIMITS
    ]


def presets(filters: Filters) -> list[Link]:
    """Ready narrowings, each on or off by itself."""
    evaluated = tuple(trust.value for trust in EVALUATED)
    is_small = filters.max_size == _SMALL and filters.min_size is None
    is_frugal = filters.limit("communication") == FRUGAL
    is_evaluated = set(filters.trust) == set(evaluated)
    other_limits = tuple(pair for pair in filters.limits if pair[0] != "communication")
    frugal = other_limits if is_frugal else (("communication", FRUGAL), *other_limits)
    return [
        Link("At most 3B", filters.to_query(max_size=None if is_small else _SMALL, min_size=None), is_small),
        Link(f"At most {FRUGAL:g} GB communication", filters.to_query(limits=frugal), is_frugal),
        Link(
            "Evaluated here only",
            filters.to_query(trust=() if is_evaluated else evaluated),
            is_evaluated,
        ),
    ]


_SMALL = 3.0


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
        for c in columns_of(snapshot.challenge)
        if c.key not in FIXED
    ]


def chosen(snapshot: Snapshot, filters: Filters) -> list[Link]:
    """Every narrowing in force, with the view that is without it."""
    teams = {s.entry.team_id: s.entry.team for s in snapshot.standings} if filters.team else {}
    found = [Link(f"“{filters.q}”", filters.to_query(q=""), active=True)] if filters.q else []
    for name in ("family", "strategy", "peft", "trust", "team"):
        values = getattr(filters, name)
        found += [
            Link(
                teams.get(value, f"Team {value}") if name == "team" else value,
                filters.to_query(**{name: tuple(other for other in values if other != value)}),
                active=True,
            )
            for value in values
        ]
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
            rest = tuple(pair for pair in filters.limits if f"max_{pair[0]}" != limit.name)
            text = f"{limit.title} at most {limit.value:g} {limit.unit}"
            found.append(Link(text, filters.to_query(limits=rest), active=True))
    return found
