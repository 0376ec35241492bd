"""The public pages: what stands on them, for whom, and in how many queries."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client

from evaluation.challenges import CHALLENGES
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
    from portal.submissions.models import Resource
    from portal.submissions.services import Cost

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


def test_demonstration_scores_are_marked_wherever_they_stand(client: Client, owner: User) -> None:
    made = factories.published(owner, scores=DEMONSTRATION)
    for path in ("/", "/leaderboard/finance/", f"/entries/{made.pk}/"):
        assert 'data-data="demonstration"' in page(client, path), path
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
    from portal.submissions.services import withdraw

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
    with django_assert_max_num_queries(30) as few:
        client.get(path)
    counted = len(few)
    for number in range(3, 9):
        factories.published(owner, method=f"number {number}", correct=50 + number)
    with django_assert_max_num_queries(counted):
        client.get(path)
