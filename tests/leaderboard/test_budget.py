"""What a reader can afford over all challenges, and what leads where demonstration data are beside others."""

from __future__ import annotations

from dataclasses import replace

import pytest
from django.test import Client

from leaderboard.standing.entries import Cost, Track
from leaderboard.standing.front import front_of
from leaderboard.standing.headline import headline
from leaderboard.standing.preference import leader, without_demonstration
from leaderboard.standing.ranking import standings
from portal.accounts.models import User
from portal.submissions.models import Resource
from tests.leaderboard.test_filters import GIBIBYTE, priced
from tests.leaderboard.test_ranking import BENCHMARKS, declared, entry
from tests.portal import factories


def demonstration(correct: int) -> object:
    found = entry(correct, correct, correct)
    scores = tuple(
        replace(score, data="demonstration", official=False, available=score.n) for score in found.scores
    )
    return replace(found, scores=scores)


def test_demonstration_data_lead_only_where_nothing_else_is() -> None:
    small, stated, own = demonstration(99), declared(entry(60, 60, 60)), entry(40, 40, 40)
    placed = standings([small, stated, own], BENCHMARKS)  # type: ignore[list-item]
    first = leader(placed)
    assert first and first.track is Track.OFFICIAL
    first = leader(standings([small, stated], BENCHMARKS))  # type: ignore[list-item]
    assert first and first.track is Track.DECLARED
    alone = standings([small], BENCHMARKS)  # type: ignore[list-item]
    assert [s.track for s in without_demonstration(alone)] == [Track.DEMONSTRATION]
    assert Track.DEMONSTRATION not in [s.track for s in without_demonstration(placed)]


def test_the_leader_may_be_the_best_within_a_limit() -> None:
    found = headline(standings([priced(entry(90, 90, 90), 1), priced(entry(50, 50, 50), 1)], BENCHMARKS))
    assert found and found.frugal is found.leader


def test_the_front_is_of_each_ranking_and_of_more_than_one() -> None:
    good, cheap, beaten = (
        replace(
            entry(correct, correct, correct), resources={"communication": Cost(cost * GIBIBYTE, "derived")}
        )
        for correct, cost in ((90, 9), (70, 1), (60, 5))
    )
    placed = standings([good, cheap, beaten], BENCHMARKS)
    assert front_of(placed, "communication") == {good.id, cheap.id}
    assert front_of(standings([good], BENCHMARKS), "communication") == frozenset()


@pytest.mark.django_db
def test_a_budget_shows_the_best_of_each_challenge_that_pass(client: Client, owner: User) -> None:
    for method, correct, memory in (("Heavy", 90, 40), ("Fitting", 70, 20), ("Silent", 80, None)):
        found = factories.published(owner, method=method, correct=correct)
        if memory:
            Resource.objects.update_or_create(
                submission=found, kind=Resource.Kind.CLIENT_VRAM, basis=Resource.Basis.DECLARED,
                defaults={"value": memory * 1024**3},
            )  # fmt: skip
    html = client.get("/budget/?max_client_vram=24&max_rounds=1").content.decode()
    assert "Fitting" in html and "Heavy" not in html and "Silent" not in html
    assert "/leaderboard/finance/?max_client_vram=24" in html
    html = client.get("/budget/?max_client_vram=1&max_communication=5").content.decode()
    assert "None of 3 trained entries passes. 1 does not state “Client VRAM”" in html
    assert 'href="/budget/?max_communication=5"' in html


@pytest.mark.django_db
def test_a_board_of_one_compares_it_with_nobody(client: Client, owner: User) -> None:
    factories.published(owner, correct=80)
    html = client.get("/leaderboard/finance/").content.decode()
    assert "no other to compare it with" in html and "every other" not in html.partition("<table")[0]


@pytest.mark.django_db
def test_pictures_of_a_narrowed_view_are_of_that_view(client: Client, owner: User) -> None:
    for method, correct in (("First", 80), ("Second", 60)):
        factories.published(owner, method=method, correct=correct)
    page = client.get("/leaderboard/finance/?q=second").content.decode()
    assert 'hx-get="/leaderboard/finance/charts/?q=second"' in page
    part = client.get("/leaderboard/finance/charts/?q=second", headers={"hx-target": "board-charts"})
    assert "Second" in part.content.decode() and "First" not in part.content.decode()


@pytest.mark.django_db
def test_base_models_are_filtered_and_say_who_takes_submissions(client: Client, owner: User) -> None:
    found = factories.published(owner)
    html = client.get("/base-models/?sort=size").content.decode()
    assert "takes submissions" in html and found.base_model.hub_id in html
    none = client.get("/base-models/?q=nobody-has-this").content.decode()
    assert "No base model passes these filters" in none
