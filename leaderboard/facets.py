"""What a view of a board can be narrowed by: the choices there are, those made, and the ready ones."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from functools import lru_cache

from leaderboard.columns import COLUMNS, columns_of
from leaderboard.entries import Trust
from leaderboard.filters import EVALUATED, FIXED, LIMITS, SECTIONS, Filters, apply, section_of, shown_columns
from leaderboard.snapshots import Snapshot

_UNITS = {"gpu_time": "h"}
_SECTION_TITLES = {
    "ranked": "Ranked",
    "demonstration": "Demonstration",
    "declared": "Declared only",
    "apart": "Apart",
}


@dataclass(frozen=True)
class Choice:
    """A value that may be chosen, with the number of entries of the whole board that have it."""

    value: str
    title: str
    count: int
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
    for name, (title, counts) in _counts(snapshot).items():
        chosen = getattr(filters, name)
        values = sorted({*counts, *chosen}, key=lambda value: _order(name, value))
        if len(values) > 1 or chosen:
            choices = tuple(Choice(v, v, counts[v], v in chosen) for v in values)
            found.append(Facet(name, title, choices))
    return found


@lru_cache(maxsize=8)
def _counts(snapshot: Snapshot) -> dict[str, tuple[str, Counter[str]]]:
    entries = [standing.entry for standing in snapshot.standings]
    return {
        "family": ("Base model", Counter(entry.family for entry in entries)),
        "strategy": ("Strategy", Counter(entry.strategy for entry in entries if entry.strategy)),
        "peft": ("PEFT", Counter(entry.peft for entry in entries if entry.peft)),
        "trust": ("Trust", Counter(entry.trust.value for entry in entries)),
    }


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
    is_frugal = filters.limit("communication") == _FRUGAL
    is_evaluated = set(filters.trust) == set(evaluated)
    other_limits = tuple(pair for pair in filters.limits if pair[0] != "communication")
    frugal = other_limits if is_frugal else (("communication", _FRUGAL), *other_limits)
    return [
        Link("Under 3B", filters.to_query(max_size=None if is_small else _SMALL, min_size=None), is_small),
        Link("Under 2 GB communication", filters.to_query(limits=frugal), is_frugal),
        Link(
            "Evaluated here only",
            filters.to_query(trust=() if is_evaluated else evaluated),
            is_evaluated,
        ),
    ]


_SMALL, _FRUGAL = 3.0, 2.0


def sections(snapshot: Snapshot, filters: Filters) -> list[Link]:
    """The sections with the number that passes the other filters; none where there is only one."""
    counts = _sizes(snapshot, replace(filters, show="", sort="", columns=None, pins=(), page=1))
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


@lru_cache(maxsize=12)  # each holds on to a snapshot
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
