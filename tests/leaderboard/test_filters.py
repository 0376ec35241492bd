"""What of a board is shown, as its address says."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime

import pytest
from django.http import QueryDict
from hypothesis import given
from hypothesis import strategies as st

from leaderboard.board import facets
from leaderboard.board.columns import by_key
from leaderboard.board.filters import Filters, apply, shown_columns, simplified
from leaderboard.reading.snapshot_format import Snapshot
from leaderboard.standing.entries import Cost, Entry, Trust
from leaderboard.standing.ranking import standings
from tests.leaderboard.test_ranking import BENCHMARKS, declared, entry

GIBIBYTE = 1024**3


def board(*entries: Entry) -> Snapshot:
    placed = tuple(standings(entries, BENCHMARKS))
    return Snapshot("finance", 1, (1,), datetime(2026, 1, 1, tzinfo=UTC), placed)


def shown(snapshot: Snapshot, query: str) -> list[int]:
    return [s.entry.id for s in apply(snapshot, Filters.of(QueryDict(query)))]


def priced(one: Entry, gigabytes: float) -> Entry:
    return replace(one, resources={"communication": Cost(gigabytes * GIBIBYTE, "derived")})


small = replace(
    entry(60, 60, 60), parameters=10**9, family="Qwen", method="FlexLoRA run", hub_id="Qwen/small"
)
large = replace(entry(80, 80, 80), parameters=7 * 10**9, family="Llama", strategy="FedProx", team_id=7)
stated = declared(replace(entry(70, 70, 70), parameters=None, peft="DoRA"))
BOARD = board(priced(small, 1), priced(large, 5), stated)


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("", [large, small, stated]),
        ("q=flex+QWEN", [small]),
        ("q=nobody", []),
        ("family=Qwen", [small]),
        ("family=Qwen&family=Llama", [large, small]),
        ("strategy=FedProx", [large]),
        ("peft=DoRA", [stated]),
        ("trust=declared", [stated]),
        ("trust=evaluated", [large, small]),
        ("team=7", [large]),
        ("max_size=3", [small]),
        ("min_size=3", [large]),
        ("max_communication=2", [small]),
        ("show=declared", [stated]),
        ("since=2026-01-02", []),
        ("until=2025-12-31", []),
        ("until=2026-01-01", [large, small, stated]),
        ("sort=average", [small, large, stated]),
        ("sort=-communication", [large, small, stated]),
        ("sort=communication", [small, large, stated]),
    ],
)
def test_a_view_holds_what_its_address_says(query: str, found: list[Entry]) -> None:
    assert shown(BOARD, query) == [one.id for one in found]


def test_what_is_not_known_comes_last_in_either_direction() -> None:
    silent = entry(90, 90, 90)
    snapshot = board(priced(small, 1), silent, priced(large, 5))
    assert shown(snapshot, "sort=communication") == [small.id, large.id, silent.id]
    assert shown(snapshot, "sort=-communication") == [large.id, small.id, silent.id]


@pytest.mark.parametrize(
    "query",
    ["page=0", "page=x", "sort=nothing", "max_size=-1", "max_size=nan", "since=2026-13-01", "trust=me",
     "columns=nothing", "pin=rank", "show=all", "team=x", "max_communication=1e400"],
)  # fmt: skip
def test_what_cannot_be_read_is_left_out(query: str) -> None:
    assert Filters.of(QueryDict(query)).to_query() == ""


texts = st.text(min_size=1, max_size=8).filter(lambda text: text.strip() == text)


def some(values: st.SearchStrategy[str]) -> st.SearchStrategy[tuple[str, ...]]:
    return st.lists(values, unique=True, max_size=3).map(lambda found: tuple(sorted(found)))


def chosen(values: tuple[tuple[str, ...], ...]) -> tuple[tuple[str, tuple[str, ...]], ...]:
    return tuple(pair for pair in zip(("family", "trust"), values, strict=True) if pair[1])


views = st.builds(
    Filters,
    q=texts,
    facets=st.tuples(some(texts), some(st.sampled_from([t.value for t in Trust]))).map(chosen),
    max_size=st.none() | st.integers(0, 999).map(float),
    since=st.none() | st.dates(date(2020, 1, 1), date(2030, 1, 1)),
    sort=st.sampled_from(["", "average", "-average", "date"]),
    columns=st.none() | st.lists(st.sampled_from(list(by_key())), unique=True, min_size=1).map(tuple),
    pins=st.lists(st.sampled_from(["average", "communication"]), unique=True).map(tuple),
    page=st.integers(1, 9999),
)


@given(views)
def test_an_address_leads_back_to_its_view(view: Filters) -> None:
    query = view.to_query()
    assert Filters.of(QueryDict(query)) == view
    assert Filters.of(QueryDict(query)).to_query() == query


@given(st.text(max_size=200))
def test_any_address_gives_some_view(query: str) -> None:
    apply(BOARD, Filters.of(QueryDict(query)))


def test_columns_are_there_where_somebody_has_a_value() -> None:
    keys = [column.key for column in shown_columns(BOARD, Filters())]
    assert keys[:2] == ["rank", "method"] and "communication" in keys and "gpu_time" not in keys


def test_pinned_columns_stand_first_and_chosen_ones_alone() -> None:
    view = Filters(columns=("average", "gpu_time"), pins=("communication",))
    keys = [column.key for column in shown_columns(BOARD, view)]
    assert keys == ["rank", "method", "communication", "average", "gpu_time"]


def test_choosing_what_is_there_anyway_says_nothing() -> None:
    usual = tuple(column.key for column in shown_columns(BOARD, Filters()))
    assert simplified(BOARD, Filters(columns=usual)).to_query() == ""


@pytest.mark.parametrize("limit", ["0.752887", "0.75288670", "1e-7", "123456789.5"])
def test_an_address_states_a_limit_in_full(limit: str) -> None:
    view = Filters.of(QueryDict(f"max_communication={limit}"))
    assert view.limits == (("communication", float(limit)),)
    assert Filters.of(QueryDict(view.to_query())) == view


def test_choosing_no_column_is_a_view_of_its_own() -> None:
    view = Filters.of(QueryDict("columns=none"))
    assert view.columns == () and view.to_query() == "columns=none"
    assert [column.key for column in shown_columns(BOARD, view)] == ["rank", "method"]
    # The form says "none" beside the columns that are chosen.
    assert Filters.of(QueryDict("columns=none&columns=gain")).to_query() == "columns=gain"


def test_a_facet_counts_what_the_other_filters_let_pass() -> None:
    found = {f.name: f for f in facets.facets(BOARD, Filters.of(QueryDict("family=Qwen&max_size=9")))}
    counts = {choice.value: choice.count for choice in found["family"].choices}
    assert counts["Qwen"] == 1 and counts["Llama"] == 1  # as if no family were chosen
    assert sum(choice.count for choice in found["trust"].choices) == 1


def test_what_was_found_out_about_a_snapshot_is_bounded_and_found_out_once() -> None:
    snapshot = board(small)
    made: list[int] = []
    for number in (1, 2, 1):
        snapshot.derived.get(number, lambda number=number: made.append(number))  # type: ignore[misc]
    assert made == [1, 2]
    for number in range(3, 200):
        snapshot.derived.get(number, lambda: None)
    snapshot.derived.get(1, lambda: made.append(1))
    assert made == [1, 2, 1]


@pytest.mark.parametrize(
    ("query", "chosen"),
    [
        ("entries=3&entries=4&entries=3", (3, 4)),
        ("entries=3&entries=now&entries=4&entries=x", (4,)),
        ("entries=3&entries=now", ()),
        ("entries=1&entries=2&entries=3&entries=4&entries=5", (1, 2, 3, 4)),
    ],
)
def test_entries_chosen_to_compare_are_part_of_a_view(query: str, chosen: tuple[int, ...]) -> None:
    view = Filters.of(QueryDict(query))
    assert view.entries == chosen and not view.narrows
    assert Filters.of(QueryDict(view.to_query(sort="-average"))).entries == chosen
    assert apply(BOARD, view) == BOARD.standings
