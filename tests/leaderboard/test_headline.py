"""What stands first on a board's page, and where its tables are divided."""

from __future__ import annotations

from dataclasses import replace

import pytest
from django.test import Client

from evaluation.statistics import RankRange
from leaderboard.board.columns import columns_of
from leaderboard.board.filters import Filters
from leaderboard.board.tables import Page
from leaderboard.standing.entries import Cost, Standing, Track
from leaderboard.standing.headline import headline
from portal.accounts.models import User
from tests.leaderboard.test_filters import GIBIBYTE, priced
from tests.leaderboard.test_ranking import declared, entry
from tests.portal import factories


def ranked(*places: tuple[int, int] | None) -> list[Standing]:
    return [
        Standing(entry(90 - number, 80, 70), Track.OFFICIAL, number + 1, RankRange(*place) if place else None)
        for number, place in enumerate(places)
    ]


def divided(standings: list[Standing], **view: object) -> list[int]:
    page = Page(standings, columns_of("finance", 1), Filters(**view))  # type: ignore[arg-type]
    rows = [row for section in page.sections for row in section.rows]
    return [number for number, row in enumerate(rows) if row.begins_group]


@pytest.mark.parametrize(
    ("places", "lines"),
    [
        ([(1, 1), (2, 3), (2, 3), (4, 4)], [1, 3]),
        ([(1, 2), (1, 3), (2, 3)], []),  # best ranks rise, and yet no place parts better from worse
        ([(1, 2), (1, 4), (3, 4), (1, 4)], []),
        ([(1, 1), None, (2, 3)], []),
        ([(1, 1)], []),
    ],
)
def test_a_line_parts_what_is_surely_better(places: list[tuple[int, int] | None], lines: list[int]) -> None:
    assert divided(ranked(*places)) == lines


def test_only_a_whole_board_in_its_own_order_has_lines() -> None:
    board = ranked((1, 1), (2, 2))
    assert divided(board) == [1]
    assert divided(board, sort="-average") == divided(board, q="x") == []


def test_a_line_is_known_across_pages() -> None:
    board = ranked(*[(1, 50)] * 50, (51, 52), (51, 52))
    assert divided(board, page=2) == [0]


def test_a_headline_is_of_the_view() -> None:
    best, second, cheap = (
        replace(standing, entry=priced(standing.entry, size))
        for standing, size in zip(ranked((1, 1), (2, 3), (2, 3)), (9, 5, 1), strict=True)
    )
    whole, part = headline([best, second, cheap]), headline([second, cheap])
    assert whole and (whole.leader, whole.alike, whole.rivals, whole.frugal) == (best, 3, 0, cheap)
    assert part and (part.leader, part.alike, part.rivals, part.frugal) == (second, 2, 1, cheap)
    assert headline([]) is None


def test_the_best_within_a_limit_trained_and_is_of_the_same_kind() -> None:
    best, base = ranked((1, 1), (2, 2))
    untuned = replace(base, entry=replace(priced(base.entry, 1), adapted=False))
    free = replace(base, entry=replace(base.entry, resources={"communication": Cost(0.0, "derived")}))
    other = Standing(priced(declared(entry(60, 60, 60)), 1), Track.DECLARED, None)
    big = replace(base, entry=priced(base.entry, 2.5))
    found = headline([best, untuned, free, big, other])
    assert found and found.frugal is None
    assert big.entry.resources["communication"].value == GIBIBYTE * 2.5


@pytest.mark.django_db
def test_a_filtered_page_tells_of_its_view_also_in_place(client: Client, owner: User) -> None:
    factories.published(owner, method="First", correct=80)
    factories.published(owner, method="Second", correct=60)
    path = "/leaderboard/finance/"
    assert "Best average in this view" not in client.get(path).content.decode()
    for headers in ({}, {"hx-request": "true"}):
        html = client.get(f"{path}?q=second", headers=headers).content.decode()
        told = html.partition('id="board-headline"')[2].partition("</dl>")[0]
        assert "Best average in this view" in told and "60.00" in told and "First" not in told
    none = client.get(f"{path}?q=third").content.decode()
    assert "Best average" not in none and "No entry passes" in none


@pytest.mark.django_db
def test_a_page_after_the_last_leads_to_the_last(client: Client, owner: User) -> None:
    factories.published(owner)
    path = "/leaderboard/finance/"
    answer = client.get(f"{path}?page=9999999")
    assert answer.status_code == 302 and answer["Location"] == path
    assert client.get(f"{path}?page=3", headers={"hx-request": "true"})["HX-Push-Url"] == path


@pytest.mark.django_db
def test_views_that_readers_make_do_not_displace_the_common_ones(client: Client, owner: User) -> None:
    from leaderboard.pages import cached

    factories.published(owner)
    path = "/leaderboard/finance/"
    client.get(path)
    before = cached._common._size
    for number in range(5):
        client.get(f"{path}?q=word{number}")
        client.get(f"{path}?max_communication={number + 0.5}")
    assert before and cached._common._size == before


@pytest.mark.django_db
def test_what_is_chosen_to_compare_stays_chosen_when_it_is_not_shown(client: Client, owner: User) -> None:
    kept = factories.published(owner, method="First", correct=80)
    factories.published(owner, method="Second", correct=60)
    path = "/leaderboard/finance/"
    here = client.get(f"{path}?entries={kept.pk}").content.decode()
    assert here.count("checked") >= 1 and f'?sort=-average&amp;entries={kept.pk}"' in here
    for word in ("second", "nobody"):
        html = client.get(f"{path}?q={word}&entries={kept.pk}").content.decode()
        assert f'name="entries" value="{kept.pk}" checked> First' in html, word
