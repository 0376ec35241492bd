"""Pictures: what they draw, say and link, and that nothing in them can hurt."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from itertools import count
from typing import Any
from xml.etree import ElementTree

import pytest
from django.core.cache import cache
from django.test import Client
from hypothesis import given
from hypothesis import strategies as st

from leaderboard.charts import catalogue, cost, drawing, forest, grid, history, profile, rounds
from leaderboard.charts.figure import Figure
from leaderboard.charts.inputs import Peers, RoundPoint
from leaderboard.charts.svg import SVG
from leaderboard.standing.entries import BenchmarkScore, Cost, Entry, Flag, Standing, Track, Trust
from leaderboard.standing.front import pareto_front
from portal.accounts.models import User
from portal.intake.services import Cost as StatedCost
from portal.submissions.models import Resource
from tests.portal import factories

TITLES = {"fpb": "FPB", "fiqa": "FiQA", "tfns": "TFNS"}
GB = 1024**3
DRAWN = {"svg", "g", "path", "line", "rect", "text", "tspan", "a", "title", "defs", "linearGradient", "stop"}
_ids = count(1)


@pytest.fixture(autouse=True)
def empty_cache() -> Iterator[None]:
    cache.clear()
    yield
    cache.clear()


def entry(correct: int = 50, gigabytes: float | None = 1.0, **changes: object) -> Entry:
    number = next(_ids)
    made = Entry(
        id=number,
        challenge="finance",
        method=f"method {number}",
        team="team",
        team_id=1,
        base_model="Model-7B",
        hub_id="Example/Model-7B",
        family="Model",
        parameters=7_000_000_000,
        kind="community",
        trust=Trust.EVALUATED,
        flags=(),
        protocol=1,
        precision="nf4",
        scores=tuple(
            BenchmarkScore(slug, correct / 100, correct, 100, 100, 0, "official", True, ()) for slug in TITLES
        ),
        resources={} if gigabytes is None else {"communication": Cost(gigabytes * GB, "derived")},
        strategy="FedAvg",
        peft="LoRA",
        rank=8,
        rounds=10,
        clients=50,
        clients_per_round=5,
        adapted=True,
        published_at=datetime(2026, 1, 1, tzinfo=UTC) + timedelta(days=number),
    )
    return replace(made, **changes)  # type: ignore[arg-type]


def communication(*entries: Entry) -> Figure:
    return cost.figure(cost.KINDS[0], entries)


def tree(svg: str) -> ElementTree.Element:
    return ElementTree.fromstring(svg)


def links(svg: str) -> list[str]:
    return [a.get("href", "") for a in tree(svg).iter("{http://www.w3.org/2000/svg}a")]


points = st.lists(st.tuples(st.integers(0, 20), st.integers(0, 20)), max_size=30)


@given(points)
def test_no_point_beats_the_front_and_it_covers_all(
    given_points: list[tuple[int, int]],
) -> None:
    front = [given_points[i] for i in pareto_front(given_points)]
    assert front == sorted(front)
    for cost_, score in given_points:
        assert not any(c >= cost_ and s <= score and (c, s) != (cost_, score) for c, s in front)
        assert any(c <= cost_ and s >= score for c, s in front)


def test_the_words_name_the_ends_of_the_front_and_the_table_has_every_point() -> None:
    cheap, best, beaten = entry(40, 0.5), entry(80, 2), entry(30, 3)
    figure = communication(cheap, best, beaten)
    assert "from 40.00% for 0.5 GB" in figure.sentence and "80.00% for 2 GB" in figure.sentence
    assert [row[-1].text for row in figure.rows] == ["yes", "yes", ""]


def test_a_view_without_costs_says_so_and_draws_nothing() -> None:
    figure = communication(entry(gigabytes=None))
    assert figure.spec is None and figure.sentence == "No entry of this view states this cost."


def test_of_a_large_board_the_whole_front_and_the_best_others_are_drawn() -> None:
    front = [entry(50 + i, 1 + i) for i in range(10)]
    many = [entry(20, 30 + i) for i in range(cost.MOST_POINTS + 50)]
    figure = communication(*many, *front)
    assert len(figure.marks) == cost.MOST_POINTS and "are drawn" in figure.note
    assert [mark.tabbed for mark in figure.marks[:11]] == [True] * 10 + [False]


def test_marks_are_links_with_words_and_hostile_names_stay_text() -> None:
    hostile = entry(
        hub_id="Example/hostile",
        method='<script>alert(1)</script>" onload="x\x0b\x1b\uffff',
        base_model="</svg><img src=x>",
    )
    for figure in (
        communication(hostile, entry(60, 2)),
        forest.board_figure("intervals", [hostile], TITLES),
        history.board_figure("history", [hostile, entry(60)], TITLES),
        grid.board_figure("strategies", [hostile, entry(60)], TITLES),
        profile.figure(entry(50), Peers(entry(10), {"fpb": hostile}), TITLES),
    ):
        svg = drawing.inline_svg(figure, drawing.Allowance())
        assert f"/entries/{hostile.id}/" in links(svg), figure.name
        drawn = tree(svg)
        assert {element.tag.rpartition("}")[2] for element in drawn.iter()} <= DRAWN, figure.name
        assert not [name for e in drawn.iter() for name in e.attrib if name.startswith("on")], figure.name


def test_amounts_at_the_axis_are_written_out() -> None:
    svg = drawing.inline_svg(communication(entry(40, 78.5), entry(60, 144)), drawing.Allowance())
    assert "140" in tree(svg).itertext() and "e+" not in svg


def test_a_picture_needs_no_styles_scripts_or_addresses() -> None:
    svg = drawing.inline_svg(communication(entry(40, 0.01), entry(80, 2)), drawing.Allowance())
    assert not re.search(r"\sstyle=|<style|<script|xlink|https?://(?!www\.w3\.org)", svg)
    assert "var(--accent)" in svg


def test_a_picture_has_no_prefixes_though_the_library_of_authenticator_apps_registers_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(ElementTree._namespace_map, SVG, "svg")  # type: ignore[attr-defined]
    made, best = entry(50), entry(90)
    figure = forest.board_figure("intervals", [made, best], TITLES)
    drawn = drawing.inline_svg(figure, drawing.Allowance())
    assert drawn.startswith('<svg xmlns="http://www.w3.org/2000/svg"') and "svg:" not in drawn
    assert drawing.svg_file(figure, "finance", drawing.Allowance()).count("<svg ") == 1


def test_a_file_has_fixed_colours_and_links_that_work_elsewhere(settings) -> None:  # type: ignore[no-untyped-def]
    settings.SITE_URL = "https://board.example.org"
    made = entry(40)
    svg = drawing.svg_file(communication(made, entry(80, 2)), "finance", drawing.Allowance())
    assert "var(" not in svg and "#0d6966" in svg
    assert f"https://board.example.org/entries/{made.id}/" in links(svg)
    assert drawing.png_file(communication(made), "finance", drawing.Allowance()).startswith(b"\x89PNG")


def test_rounds_are_drawn_with_what_they_sent() -> None:
    figure = rounds.figure([RoundPoint(i, 2 / i, None, 1024**2, 1.0) for i in range(1, 6)])
    assert "from 2.0000 to 0.4000" in figure.sentence and "5.0 MB" in figure.sentence
    assert drawing.inline_svg(figure, drawing.Allowance()).startswith("<svg")


def test_one_round_makes_no_curve() -> None:
    assert rounds.figure([RoundPoint(1, 1.0, None, 1, 1.0)]).spec is None


def test_history_keeps_only_what_raised_the_best() -> None:
    first, worse, better = entry(50), entry(40), entry(60)
    assert history.records([better, worse, first]) == [first, better]


def test_tracks_are_drawn_apart_and_flagged_entries_not_at_all() -> None:
    official, declared, flagged = entry(), entry(), entry(flags=(Flag("fpb", "impossible"),))
    found = catalogue.groups(
        [
            Standing(official, Track.OFFICIAL, 1),
            Standing(declared, Track.DECLARED, None),
            Standing(flagged, Track.DECLARED, None),
            Standing(entry(), Track.UNOFFICIAL, None),
        ]
    )
    assert [(group.track, group.entries) for group in found] == [
        (Track.OFFICIAL, (official,)),
        (Track.DECLARED, (declared,)),
    ]


def test_the_grid_holds_untuned_models_apart_and_says_of_how_many_a_cell_is_the_best() -> None:
    large: Any = {"hub_id": "Example/Large-30B", "base_model": "Large-30B", "parameters": 30_000_000_000}
    twin: Any = {"hub_id": "Other/Model-7B", "parameters": 6_000_000_000}
    found = grid.board_figure(
        "strategies",
        [
            entry(70, **large),
            entry(50),
            entry(60),
            entry(40, adapted=False, strategy=""),
            entry(45, strategy=""),
            entry(30, **twin),
        ],
        TITLES,
    )
    assert [tuple(cell.text for cell in row[:4]) for row in found.rows] == [
        ("Other/Model-7B", "FedAvg", "30.00", "1"),
        ("Example/Model-7B", "untuned", "40.00", "1"),
        ("Example/Model-7B", "FedAvg", "60.00", "2"),
        ("Example/Model-7B", "not stated", "45.00", "1"),
        ("Large-30B", "FedAvg", "70.00", "1"),
    ]
    assert found.sentence.startswith("4 pairs were tried") and "of 2 entries" in found.marks[2].text
    assert grid.board_figure("strategies", [entry(adapted=False)], TITLES).spec is None


def test_the_line_of_the_untuned_names_the_best_of_them() -> None:
    untuned = [entry(score, adapted=False, base_model=f"Base-{score}") for score in (30, 45)]
    svg = drawing.inline_svg(communication(entry(60, 1), entry(80, 2), *untuned), drawing.Allowance())
    assert "best untuned: Base-45" in svg and "Base-30" not in svg


def test_an_entry_of_unknown_date_is_no_point_of_the_history() -> None:
    days = [date(2025, 1, 1), date(2025, 2, 1), None]
    imported = [entry(50 + n, kind="imported", source_date=day) for n, day in enumerate(days)]
    found = history.board_figure("history", imported, TITLES)
    assert "50.00% on 2025-01-01 to 51.00% on 2025-02-01" in found.sentence
    assert "1 without a date is left out" in found.note and len(found.marks) == 2


def test_while_the_engine_is_busy_the_words_and_the_table_are_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drawing, "WAIT_SECONDS", 0.01)
    with drawing._engine:
        picture = catalogue._picture("busy", lambda: communication(entry()))
    assert picture.is_late and not picture.is_drawn and picture.figure.rows


def test_an_answer_waits_for_the_engine_once_for_all_its_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    waited: list[float] = []

    class Taken:
        """An engine that others draw with, on a clock that goes on while it is waited for."""

        def acquire(self, timeout: float) -> bool:
            waited.append(timeout)
            return False

    monkeypatch.setattr(drawing, "_engine", Taken())
    monkeypatch.setattr(drawing.time, "monotonic", lambda: sum(waited))
    allowance = drawing.Allowance(seconds=0.2)
    for _ in range(3):
        with pytest.raises(drawing.BusyError), allowance.turn():
            pass
    assert waited == [0.2, 0.0, 0.0]


@pytest.mark.django_db
class TestPages:
    def test_a_reader_who_makes_up_views_gets_words_only_and_is_told_when_files_come_again(
        self, client: Client, owner: User, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(drawing, "DRAWINGS_A_MINUTE", 0)
        self.fill(owner)
        page = client.get("/leaderboard/finance/charts/?max_size=71")
        html = page.content.decode()
        assert "As a table" in html and "Load this page again" in html and page["Cache-Control"] == "no-store"
        refused = client.get("/leaderboard/finance/charts/communication.svg?max_size=71")
        assert (refused.status_code, refused["Retry-After"]) == (429, "60")
        assert b"<svg" in client.get("/leaderboard/finance/").content

    def fill(self, owner: User) -> None:
        for number in range(3):
            costs = [
                StatedCost(Resource.Kind.COMMUNICATION, (1 + number) * GB, Resource.Basis.DECLARED),
            ]
            factories.published(owner, method=f"number {number}", correct=50 + number, costs=costs)

    def test_the_page_draws_the_view_that_its_address_states(self, client: Client, owner: User) -> None:
        self.fill(owner)
        whole = client.get("/leaderboard/finance/charts/").content.decode()
        assert "Drawn from 3 official entries" in whole and "<svg" in whole and "As a table" in whole
        narrowed = client.get("/leaderboard/finance/charts/?q=number+1").content.decode()
        assert (
            "Drawn from 1 official entry that pass" in narrowed and "communication.png?q=number+1" in narrowed
        )

    def test_a_picture_is_a_file_in_either_form(self, client: Client, owner: User) -> None:
        self.fill(owner)
        svg = client.get("/leaderboard/finance/charts/communication.svg")
        png = client.get("/leaderboard/finance/charts/communication.png")
        assert svg["Content-Type"] == "image/svg+xml" and png["Content-Type"] == "image/png"
        assert client.get("/leaderboard/finance/charts/gpu-hours.svg").status_code == 404
        assert client.get("/leaderboard/finance/charts/nothing.svg").status_code == 404

    def test_a_drawn_picture_is_kept(
        self, client: Client, owner: User, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        self.fill(owner)
        first = client.get("/leaderboard/finance/charts/").content
        monkeypatch.setattr(drawing, "inline_svg", lambda *_: pytest.fail("drawn again"))
        assert client.get("/leaderboard/finance/charts/").content == first

    def test_a_board_without_entries_says_so(self, client: Client) -> None:
        assert "No entry to draw yet" in client.get("/leaderboard/finance/charts/").content.decode()
        filtered = client.get("/leaderboard/finance/charts/?q=x").content.decode()
        assert "No entry with a complete score passes these filters" in filtered

    def test_a_day_without_a_board_is_named(self, client: Client, owner: User) -> None:
        self.fill(owner)
        page = client.get("/leaderboard/finance/charts/?as_of=tomorrow").content.decode()
        assert "is no day like" in page and "<svg" in page
        assert client.get("/leaderboard/finance/charts/communication.svg?as_of=tomorrow").status_code == 400

    def test_past_boards_are_drawn_as_they_stood(self, client: Client, owner: User) -> None:
        self.fill(owner)
        page = client.get("/leaderboard/finance/charts/?as_of=2020-01-01").content.decode()
        assert "No entry with a complete score passes these filters" in page
        assert "as it stood at the end of 2020-01-01" in page
