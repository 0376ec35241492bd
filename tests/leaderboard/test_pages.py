"""The public pages: what stands on them, for whom, and in how many queries."""

from __future__ import annotations

import gzip
from typing import Any

import pytest
from django.test import Client

from evaluation.rules.challenges import CHALLENGES
from portal.accounts.models import User
from tests.portal import factories

pytestmark = pytest.mark.django_db
DEMONSTRATION = {"data": "demonstration", "official": False, "unofficial_reasons": ["demonstration data"]}
UNOFFICIAL = {"official": False, "unofficial_reasons": ["only 100 of 1,212 items"]}


def page(client: Client, path: str) -> str:
    response = client.get(path)
    assert response.status_code == 200
    return response.content.decode()


@pytest.mark.parametrize("slug", CHALLENGES)
def test_an_empty_board_invites(client: Client, slug: str) -> None:
    assert "Be the first" in page(client, f"/leaderboard/{slug}/")


def test_an_unknown_board_is_not_found(client: Client) -> None:
    assert client.get("/leaderboard/poetry/").status_code == 404


def test_a_row_has_score_interval_and_cost_with_its_basis(client: Client, owner: User) -> None:
    from portal.intake.services import Cost
    from portal.submissions.models import Resource

    costs = [
        Cost(Resource.Kind.COMMUNICATION_UP, 2 * 1024**3, Resource.Basis.MEASURED),
        Cost(Resource.Kind.COMMUNICATION_DOWN, 1 * 1024**3, Resource.Basis.MEASURED),
        Cost(Resource.Kind.WALL_TIME, 7200, Resource.Basis.DECLARED),
    ]
    factories.published(owner, correct=70, costs=costs)
    html = page(
        client, "/leaderboard/finance/?columns=average&columns=fpb&columns=communication&columns=wall_time"
    )
    assert "70.00" in html and "60.4–78.1" in html  # Wilson's interval of 70 of 100
    assert "3.00" in html and "2.00" in html and "declared" in html


@pytest.mark.parametrize("part", [{}, {"available": 400}])
def test_demonstration_scores_are_marked_wherever_they_stand(
    client: Client, owner: User, part: dict[str, int]
) -> None:
    made = factories.published(owner, scores=DEMONSTRATION | part)
    for path in ("/", "/leaderboard/finance/", f"/entries/{made.pk}/"):
        assert 'data-data="demonstration"' in page(client, path), path
    assert "say nothing about the benchmark" in page(client, "/leaderboard/finance/")
    client.force_login(owner)
    assert 'data-data="demonstration"' in page(client, f"/submissions/{made.pk}/")


def test_unofficial_entries_stand_apart_without_rank(client: Client, owner: User) -> None:
    made = factories.published(owner, scores=UNOFFICIAL)
    html = page(client, "/leaderboard/finance/")
    assert (
        "Apart from the ranking" in html and "only 100 of 1,212 items" in html and 'class="rank"' not in html
    )
    assert "only 100 of 1,212 items" in page(client, f"/entries/{made.pk}/")


def test_withdrawn_entries_leave_the_board_and_their_page(client: Client, owner: User) -> None:
    from portal.intake.services import withdraw

    made = factories.published(owner, method="Gone")
    withdraw(made)
    assert "Gone" not in page(client, "/leaderboard/finance/")
    assert client.get(f"/entries/{made.pk}/").status_code == 404


def test_what_people_write_is_escaped(client: Client, owner: User) -> None:
    made = factories.published(
        owner, method="<script>alert(1)</script>", description="<img src=x onerror=alert(1)>"
    )
    for path in ("/", "/leaderboard/finance/", f"/entries/{made.pk}/"):
        html = page(client, path)
        assert "<script>alert" not in html and "<img src=x" not in html


@pytest.mark.parametrize("path", ["/", "/leaderboard/finance/", "/api/v1/leaderboards/finance/"])
def test_the_number_of_queries_does_not_grow(
    client: Client, owner: User, path: str, django_assert_max_num_queries: Any
) -> None:
    for number in range(3):
        factories.published(owner, method=f"number {number}", correct=50 + number)
    client.get(path)  # the first board is built otherwise than those that follow
    factories.published(owner, correct=60)
    with django_assert_max_num_queries(40) as few:
        client.get(path)
    counted = len(few)
    for number in range(3, 9):
        factories.published(owner, method=f"number {number}", correct=50 + number)
    with django_assert_max_num_queries(counted):
        client.get(path)


BOARD = "/leaderboard/finance/"
IN_PLACE = {"hx-request": "true"}


def test_a_board_costs_no_more_than_five_queries(
    client: Client, owner: User, django_assert_max_num_queries: Any
) -> None:
    for number in range(3):
        factories.published(owner, method=f"number {number}", correct=50 + number)
    page(client, BOARD)
    for path in (
        BOARD,
        f"{BOARD}?q=number",
        f"{BOARD}?sort=-average",
        f"{BOARD}?columns=average",
        "/leaderboard/",
    ):
        with django_assert_max_num_queries(5 if path != "/leaderboard/" else 12):
            page(client, path)


def test_a_reader_who_has_the_page_is_told_so(client: Client, owner: User) -> None:
    factories.published(owner)
    first = client.get(BOARD)
    assert "no-cache" in first["Cache-Control"]
    again = client.get(BOARD, headers={"if-none-match": first["ETag"]})
    assert again.status_code == 304 and not again.content
    factories.published(owner, method="Newcomer")
    renewed = client.get(BOARD, headers={"if-none-match": first["ETag"]})
    assert renewed.status_code == 200 and b"Newcomer" in renewed.content


def test_a_compressed_page_is_the_same_page(client: Client, owner: User) -> None:
    factories.published(owner)
    plain = client.get(BOARD)
    packed = client.get(BOARD, headers={"accept-encoding": "br;q=1.0, gzip;q=0.8"})
    assert packed["Content-Encoding"] == "gzip" and gzip.decompress(packed.content) == plain.content
    assert packed["ETag"] != plain["ETag"] and "Accept-Encoding" in packed["Vary"]
    assert "Content-Encoding" not in client.get(BOARD, headers={"accept-encoding": "gzip;q=0"})


def test_who_is_signed_in_gets_a_page_of_their_own(client: Client, owner: User) -> None:
    factories.published(owner)
    nobody = page(client, BOARD)
    client.force_login(owner)
    known = client.get(BOARD)
    assert owner.username in known.content.decode() and known["Cache-Control"] == "private, no-cache"
    client.logout()
    assert page(client, BOARD) == nobody


def test_htmx_gets_the_results_and_the_address_of_the_view(client: Client, owner: User) -> None:
    factories.published(owner, method="Found")
    answer = client.get(f"{BOARD}?q=&min_size=&page=1", headers=IN_PLACE | {"hx-trigger": "board-form"})
    html = answer.content.decode()
    assert html.startswith('<div id="board"') and "Found" in html and '<form class="board-form' not in html
    assert answer["HX-Push-Url"] == f"{BOARD}" and "no-store" in answer["Cache-Control"]
    linked = client.get(f"{BOARD}?sort=-average", headers=IN_PLACE).content.decode()
    assert 'hx-swap-oob="true"' in linked  # the form says what a link chose


def test_a_page_from_the_history_is_whole(client: Client, owner: User) -> None:
    factories.published(owner)
    restored = client.get(BOARD, headers=IN_PLACE | {"hx-history-restore-request": "true"})
    assert restored.content.decode().startswith("<!doctype html>")


def test_an_address_that_says_too_much_leads_to_the_short_one(client: Client, owner: User) -> None:
    factories.published(owner)
    answer = client.get(f"{BOARD}?q=&show=&min_size=&page=1&sort=-average")
    assert answer.status_code == 302 and answer["Location"] == f"{BOARD}?sort=-average"


def test_a_view_without_entries_says_so(client: Client, owner: User) -> None:
    factories.published(owner)
    assert "No entry passes these filters" in page(client, f"{BOARD}?q=nothing+like+it")


def test_rows_can_be_chosen_to_compare(client: Client, owner: User) -> None:
    made = factories.published(owner)
    html = page(client, BOARD)
    assert f'name="entries" value="{made.pk}"' in html and 'action="/compare/"' in html


def test_across_domains_what_is_missing_is_shown_as_missing(client: Client, owner: User) -> None:
    made = factories.published(owner, method="Alone")
    html = page(client, "/leaderboard/")
    assert "Alone" in html and f"/entries/{made.pk}/" in html and html.count("missing") >= 3
    assert "Mean rank" in html and "Mean score" in html
    assert page(client, "/leaderboard/?by=base_model&order=average&show=nonsense&page=99")


def test_the_api_takes_the_filters_of_the_page(client: Client, owner: User) -> None:
    factories.published(owner, method="First", correct=80)
    factories.published(owner, method="Second", correct=60)
    found = client.get("/api/v1/leaderboards/finance/?q=second").json()["results"]
    assert [row["method"] for row in found] == ["Second"]
    assert found[0]["rank"] == 2 and found[0]["rank_range"] is None and found[0]["flags"] == []
