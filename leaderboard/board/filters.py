"""What of a board is shown, and how: the state of a view, which stands in its address."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time
from typing import Any, TypeVar
from urllib.parse import urlencode

from django.conf import settings
from django.http import QueryDict
from django.utils.dateparse import parse_date

from leaderboard.addresses import asked_protocol, refused_protocol
from leaderboard.board.column import Column, Facet, Value
from leaderboard.board.columns import by_key, columns_of, costs, facets_by_name, limited
from leaderboard.reading.snapshots import Snapshot
from leaderboard.standing.entries import Entry, Standing, Track, Trust

SECTIONS = ("ranked", "declared", "demonstration", "apart")
# Always there: a row is nothing without them.
FIXED = ("rank", "method")
# Says that columns are chosen, even where those chosen are none.
NO_COLUMNS = "none"
# How many entries can be compared, and what stands before those that are ticked on the page.
MOST_ENTRIES = 4
ENTRIES_NOW = "now"
EVALUATED = (Trust.EVALUATED, Trust.NOT_REPRODUCED, Trust.REPRODUCED, Trust.REFERENCE)
AIRY = "airy"
_LONGEST = 100
_T = TypeVar("_T")


@dataclass(frozen=True)
class Filters:
    """One view of a board. Sizes are in billions of parameters.

    `facets` are the values chosen of each, by its name in the order of `facets_by_name`: an entry has to have
    one of them. `limits` are upper bounds by the key of a column, in its unit: an entry of which the figure
    is not known does not pass. `show` is one of SECTIONS, "" all. `sort` is a column's key, with "-" before
    it from the highest; "" is the board's own order. `columns` are the keys shown (None: those that are by
    default), `pins` those that stand first. `as_of` is a day, at the end of which the board is looked at.
    `rows` is "airy" for rows of several lines, `cost` the key of the one cost that a phone shows of a row.
    `entries` are chosen to be compared: they stay chosen whatever is shown. `protocol` says which board, None
    the one under the site's own.
    """

    q: str = ""
    facets: tuple[tuple[str, tuple[str, ...]], ...] = ()
    team: tuple[int, ...] = ()
    min_size: float | None = None
    max_size: float | None = None
    limits: tuple[tuple[str, float], ...] = ()
    since: date | None = None
    until: date | None = None
    show: str = ""
    sort: str = ""
    columns: tuple[str, ...] | None = None
    pins: tuple[str, ...] = ()
    page: int = 1
    as_of: date | None = None
    entries: tuple[int, ...] = ()
    protocol: int | None = None
    rows: str = ""
    cost: str = ""

    @classmethod
    def of(cls, query: QueryDict) -> Filters:
        """The state that an address states. What cannot be read is left out: old links keep working."""
        known = by_key()
        columns = _texts(query, "columns")
        chosen = tuple(key for key in columns if key in known)
        return cls(
            q=query.get("q", "").strip()[:_LONGEST],
            facets=tuple(
                (facet.name, values)
                for facet in facets_by_name().values()
                if (values := _values(query, facet))
            ),
            team=tuple(int(text) for text in _texts(query, "team") if text.isdecimal() and len(text) < 19),
            min_size=_number(query, "min_size"),
            max_size=_number(query, "max_size"),
            limits=tuple(
                (column.key, limit)
                for column in limited()
                if (limit := _number(query, f"max_{column.key}")) is not None
            ),
            since=_day(query, "since"),
            until=_day(query, "until"),
            show=_one_of(query, "show", SECTIONS),
            sort=text if (text := query.get("sort", "")).removeprefix("-") in known else "",
            columns=chosen if chosen or NO_COLUMNS in columns else None,
            pins=tuple(key for key in _texts(query, "pin") if key in known and key not in FIXED),
            page=_page(query),
            as_of=_past_day(query, "as_of"),
            entries=_chosen(query),
            protocol=_protocol(query),
            rows=_one_of(query, "rows", (AIRY,)),
            cost=_one_of(query, "cost", [column.key for column in costs()]),
        )

    def to_query(self, **changes: object) -> str:
        """The query string of this view, without the question mark; `changes` are made first.

        The same view has the same text, so that it may name what is cached. Changes lead to the first page.
        """
        view = replace(self, **({"page": 1} | changes)) if changes else self  # type: ignore[arg-type]
        pairs: list[tuple[str, object]] = [("protocol", view.protocol), ("q", view.q)]
        pairs += [(name, value) for name, values in view.facets for value in sorted(values)]
        pairs += [("team", number) for number in sorted(view.team)]
        pairs += [("min_size", _plain(view.min_size)), ("max_size", _plain(view.max_size))]
        pairs += [(f"max_{kind}", _plain(limit)) for kind, limit in view.limits]
        pairs += [("since", view.since), ("until", view.until), ("show", view.show), ("sort", view.sort)]
        pairs += [("columns", key) for key in (() if view.columns is None else view.columns or (NO_COLUMNS,))]
        pairs += [("pin", key) for key in view.pins]
        pairs += [("rows", view.rows), ("cost", view.cost)]
        pairs += [("page", view.page if view.page > 1 else ""), ("as_of", view.as_of)]
        pairs += [("entries", number) for number in view.entries]
        return urlencode([(name, value) for name, value in pairs if value not in ("", None)])

    @property
    def moment(self) -> datetime | None:
        """The end of the day `as_of` (UTC)."""
        return datetime.combine(self.as_of, time.max, UTC) if self.as_of else None

    @property
    def same_entries(self) -> Filters:
        """The view of its board that holds the same entries, whatever the order, the page and the columns."""
        return replace(
            self,
            sort="",
            columns=None,
            pins=(),
            page=1,
            as_of=None,
            entries=(),
            protocol=None,
            rows="",
            cost="",
        )

    @property
    def narrows(self) -> bool:
        """Whether some entries may not be shown."""
        return replace(self.same_entries, as_of=None, show="") != Filters()

    @property
    def is_rare(self) -> bool:
        """Whether the view is one of too many to be kept with those that everybody reads."""
        return replace(self, sort="", page=1, show="", protocol=None, rows="") != Filters()

    def limit(self, key: str) -> float | None:
        return dict(self.limits).get(key)

    @property
    def trust(self) -> tuple[str, ...]:
        return self.chosen("trust")

    def limiting(self, key: str, limit: float | None) -> tuple[tuple[str, float], ...]:
        """The limits with that one in the place of its column's, None for none."""
        bounds = {**dict(self.limits), key: limit}
        keys = (column.key for column in limited())
        return tuple((key, bound) for key in keys if (bound := bounds.get(key)) is not None)

    def chosen(self, facet: str) -> tuple[str, ...]:
        return dict(self.facets).get(facet, ())

    def choosing(self, facet: str, values: Iterable[str]) -> tuple[tuple[str, tuple[str, ...]], ...]:
        """The facets with those values chosen of that one."""
        choices = {**dict(self.facets), facet: tuple(values)}
        return tuple((name, found) for name in facets_by_name() if (found := choices.get(name)))


def refusals(query: QueryDict) -> dict[str, str]:
    """Why there is no board of the day and under the protocol that an address asks for: a sentence by
    parameter, none where there is one."""
    found = {"as_of": _refused_day(query), "protocol": refused_protocol(query)}
    return {name: reason for name, reason in found.items() if reason}


def _refused_day(query: QueryDict) -> str:
    text = query.get("as_of", "").strip()
    if not text or _past_day(query, "as_of"):
        return ""
    if _day(query, "as_of"):
        return f"{text} is still to come."
    return f"“{text[:40]}” is no day like 2026-03-01."


def apply(snapshot: Snapshot, filters: Filters) -> Sequence[Standing]:
    """The standings that pass, all pages of them: section by section, each in the order asked for.

    What has no value in the column that is sorted by comes last in its section, whichever the direction.
    """
    kept = _passing(snapshot, filters.same_entries)
    if not filters.sort:
        return kept
    key, falls = filters.sort.lstrip("-"), filters.sort.startswith("-")
    columns = columns_of(snapshot.challenge, snapshot.protocol)
    column = next((column for column in columns if column.key == key), None)
    return kept if column is None else _sorted(kept, column, falls=falls)


def _passing(snapshot: Snapshot, filters: Filters) -> Sequence[Standing]:
    if not filters.narrows and not filters.show:
        return snapshot.standings
    tests = _tests(filters)
    return snapshot.derived.get(
        ("passing", filters), lambda: [s for s in snapshot.standings if all(test(s) for test in tests)]
    )


def section_of(standing: Standing) -> str:
    """The one of SECTIONS that a standing belongs to."""
    if standing.rank is not None:
        return "ranked" if standing.track is Track.OFFICIAL else "demonstration"
    return "declared" if standing.track is Track.DECLARED and not standing.entry.flags else "apart"


def shown_columns(snapshot: Snapshot, filters: Filters) -> tuple[Column, ...]:
    """The columns of a view in their order: the fixed ones, the pinned ones, the rest.

    By default a column is there if any entry of the board has a value for it.
    """
    columns = columns_of(snapshot.challenge, snapshot.protocol)
    usual = _usual(snapshot) if filters.columns is None else filters.columns
    chosen = {*usual, *FIXED, *filters.pins}
    first = [column for column in columns if column.key in FIXED]
    pinned = [column for key in filters.pins for column in columns if column.key == key]
    rest = [c for c in columns if c.key in chosen and c.key not in {*FIXED, *filters.pins}]
    return (*first, *pinned, *rest)


def simplified(snapshot: Snapshot, filters: Filters) -> Filters:
    """The same view without what it would show anyway: the columns that are there by default."""
    if filters.columns is None:
        return filters
    default = replace(filters, columns=None)
    same = {c.key for c in shown_columns(snapshot, filters)} == {
        c.key for c in shown_columns(snapshot, default)
    }
    return default if same else filters


def _usual(snapshot: Snapshot) -> frozenset[str]:
    """The columns that are there by default."""
    columns = columns_of(snapshot.challenge, snapshot.protocol)
    return snapshot.derived.get(
        "usual columns",
        lambda: frozenset(c.key for c in columns if c.shown and _known(snapshot.standings, c)),
    )


def _known(standings: Iterable[Standing], column: Column) -> bool:
    return any(column.value(standing) is not None for standing in standings)


def _sorted(standings: Sequence[Standing], column: Column, *, falls: bool) -> list[Standing]:
    known: list[Standing] = []
    unknown: list[Standing] = []
    for standing in standings:
        (unknown if column.value(standing) is None else known).append(standing)
    known.sort(key=lambda standing: _order(column.value(standing)), reverse=falls)
    # Stable: sections keep their order, and equal values the board's.
    return sorted(known + unknown, key=_section_order)


def _order(value: Value | None) -> Any:
    """What a column's values, which are all of one kind, are compared by."""
    return value.casefold() if isinstance(value, str) else value


def _section_order(standing: Standing) -> tuple[int, str]:
    """Sections in their order, and rankings of one precision together."""
    section = section_of(standing)
    return SECTIONS.index(section), standing.entry.precision if section == "demonstration" else ""


def _tests(filters: Filters) -> list[Callable[[Standing], bool]]:
    """What a standing has to pass, one test for each narrowing."""
    known, facets = by_key(), facets_by_name()
    tests = [_has_one_of(facets[name], values) for name, values in filters.facets]
    tests += [_is_at_most(known[key], limit) for key, limit in filters.limits]
    if filters.show:
        tests.append(lambda s: section_of(s) == filters.show)
    if filters.team:
        tests.append(lambda s: s.entry.team_id in filters.team)
    if filters.min_size is not None or filters.max_size is not None:
        tests.append(lambda s: _within(s.entry.parameters, filters.min_size, filters.max_size, 1e9))
    if filters.since or filters.until:
        tests.append(lambda s: _between(s.entry.day, filters.since, filters.until))
    if filters.q:
        tests.append(lambda s: _mentions(s.entry, filters.q))
    return tests


def _has_one_of(facet: Facet, values: tuple[str, ...]) -> Callable[[Standing], bool]:
    return lambda standing: facet.of(standing.entry) in values


def _is_at_most(column: Column, limit: float) -> Callable[[Standing], bool]:
    def test(standing: Standing) -> bool:
        value = column.value(standing)
        return isinstance(value, int | float) and _within(value, None, limit, column.limit or 1.0)

    return test


def _between(day: date | None, since: date | None, until: date | None) -> bool:
    return day is not None and (since is None or day >= since) and (until is None or day <= until)


def _within(value: float | None, low: float | None, high: float | None, unit: float) -> bool:
    if value is None:
        return False
    return (low is None or value >= low * unit) and (high is None or value <= high * unit)


def _mentions(entry: Entry, text: str) -> bool:
    """Whether every word stands in the names of the method, team, base model or strategy."""
    names = f"{entry.method} {entry.team} {entry.hub_id} {entry.strategy} {entry.peft}".casefold()
    return all(word in names for word in text.casefold().split())


def _texts(query: QueryDict, name: str) -> tuple[str, ...]:
    """The values of a repeated parameter, each once."""
    return tuple(dict.fromkeys(value[:_LONGEST] for value in query.getlist(name)[:_LONGEST] if value))


def _values(query: QueryDict, facet: Facet) -> tuple[str, ...]:
    """What is chosen of a facet; of one whose values are all known, none that is not among them."""
    return tuple(v for v in _texts(query, facet.name) if not facet.values or v in facet.values)


def _chosen(query: QueryDict) -> tuple[int, ...]:
    """The first of the entries chosen. A script says ENTRIES_NOW before those that are ticked at the moment,
    which then stand for the ones that the address had."""
    values = query.getlist("entries")[-_LONGEST:]
    if ENTRIES_NOW in values:
        values = values[len(values) - values[::-1].index(ENTRIES_NOW) :]
    numbers = (int(text) for text in values if text.isdecimal() and len(text) < 19)
    return tuple(dict.fromkeys(numbers))[:MOST_ENTRIES]


def _number(query: QueryDict, name: str) -> float | None:
    return _parsed(query.get(name, ""), lambda text: number if 0 <= (number := float(text)) < 1e12 else None)


def _parsed(text: str, parse: Callable[[str], _T | None]) -> _T | None:
    try:
        return parse(text)
    except ValueError:
        return None


def _day(query: QueryDict, name: str) -> date | None:
    return _parsed(query.get(name, ""), parse_date)


def _past_day(query: QueryDict, name: str) -> date | None:
    found = _day(query, name)
    return found if found and found <= datetime.now(UTC).date() else None


def _protocol(query: QueryDict) -> int | None:
    """None for the site's own and for what there is not."""
    number = None if refused_protocol(query) else asked_protocol(query)
    return None if number == settings.LEADERBOARD_PROTOCOLS[0] else number


def _page(query: QueryDict) -> int:
    text = query.get("page", "")
    return max(1, int(text)) if text.isdecimal() and len(text) < 8 else 1


def _one_of(query: QueryDict, name: str, values: Sequence[str]) -> str:
    value = query.get(name, "")
    return value if value in values else ""


def _plain(value: float | None) -> str:
    """The shortest text that is read as this number: what is written is what is filtered by."""
    if value is None:
        return ""
    short = f"{value:g}"
    return short if float(short) == value else repr(value)
