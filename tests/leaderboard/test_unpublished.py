"""What a team sees of its entry before anybody else: results, the place it would take, every answer."""

from __future__ import annotations

import pytest
from django.test import Client

from leaderboard.reading import snapshots
from portal.accounts.models import User
from portal.submissions.models import Submission
from tests.portal import factories

pytestmark = pytest.mark.django_db


@pytest.fixture
def evaluated(owner: User, stranger: User) -> Submission:
    for correct in (90, 80, 60, 50, 40):
        factories.publish(factories.evaluated(stranger, correct=correct, method=f"rival {correct}"))
    return factories.evaluated(owner, correct=70, method="mine")


def test_its_team_sees_the_place_it_would_take_with_its_neighbours(
    as_owner: Client, evaluated: Submission
) -> None:
    page = as_owner.get(f"/entries/{evaluated.pk}/")
    content = page.content.decode()
    assert "Not published" in content and page.context["standing"].rank == 3
    shown = page.context["would_be"]
    assert [s.entry.method for s in shown.above] == ["rival 90", "rival 80"]
    assert [(s.rank, s.entry.method) for s in shown.below] == [(4, "rival 60"), (5, "rival 50")]
    assert "no-store" in page["Cache-Control"] and page["X-Robots-Tag"] == "noindex"


def test_reviewers_see_it_and_nobody_else_does(
    as_reviewer: Client, as_stranger: Client, evaluated: Submission
) -> None:
    address = f"/entries/{evaluated.pk}/"
    assert as_reviewer.get(address).status_code == 200
    for client in (as_stranger, Client()):
        assert client.get(address).status_code == 404
        assert client.get(f"{address}items/fpb/").status_code == 404
        assert client.get(f"{address}charts/profile.svg").status_code == 404


def test_its_pictures_are_for_nobodys_cache(as_owner: Client, evaluated: Submission) -> None:
    picture = as_owner.get(f"/entries/{evaluated.pk}/charts/profile.svg")
    assert picture.status_code == 200
    assert "no-store" in picture["Cache-Control"] and "public" not in picture["Cache-Control"]


def test_evaluated_again_it_shows_what_it_scored_then(as_owner: Client, evaluated: Submission) -> None:
    address = f"/entries/{evaluated.pk}/charts/profile.svg"
    before = as_owner.get(address).content
    factories.evaluate_again(evaluated, correct=95)
    assert as_owner.get(address).content != before


def test_the_board_does_not_show_it(as_owner: Client, evaluated: Submission) -> None:
    as_owner.get(f"/entries/{evaluated.pk}/")
    assert evaluated.pk not in snapshots.current("finance").by_id
    assert "mine" not in as_owner.get("/leaderboard/finance/").content.decode()


def test_its_submission_leads_to_it(as_owner: Client, evaluated: Submission) -> None:
    assert f"/entries/{evaluated.pk}/" in as_owner.get(f"/submissions/{evaluated.pk}/").content.decode()


def test_a_draft_and_one_that_waits_have_no_results(as_owner: Client, owner: User) -> None:
    waiting = factories.submission(owner)
    assert as_owner.get(f"/entries/{waiting.pk}/").status_code == 404
    assert f"/entries/{waiting.pk}/" not in as_owner.get(f"/submissions/{waiting.pk}/").content.decode()
