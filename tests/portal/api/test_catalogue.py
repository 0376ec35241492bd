"""Challenges with their rules, base models, boards."""

from __future__ import annotations

import pytest

from evaluation.rules.challenges import CHALLENGES
from portal.accounts.models import User
from tests.evaluation import adapters
from tests.portal import factories
from tests.portal.api.conftest import Api

pytestmark = pytest.mark.django_db


def test_the_challenges_are_listed_in_board_order(nobody: Api) -> None:
    body = nobody.get("challenges/").json()
    assert [row["slug"] for row in body["results"]] == list(CHALLENGES)
    assert body["next"] is None and body["previous"] is None


def test_a_challenge_tells_its_rules_and_benchmarks(nobody: Api) -> None:
    body = nobody.get("challenges/finance/").json()
    assert body["clients"] == 50 and any("50 SuperNodes" in rule for rule in body["rules"])
    assert [(b["slug"], b["items"]) for b in body["benchmark_details"]] == [
        ("fpb", 1212),
        ("fiqa", 304),
        ("tfns", 2388),
    ]
    unknown = nobody.get("challenges/poetry/")
    assert unknown.status_code == 404 and "finance" in unknown.json()["detail"]


def test_base_models_that_take_submissions_are_listed(nobody: Api) -> None:
    factories.base_model()
    factories.base_model("Old/Model", active=False)
    assert [row["hub_id"] for row in nobody.get("base-models/").json()["results"]] == [adapters.HUB_ID]


def test_a_base_model_tells_what_an_adapter_has_to_fit(nobody: Api) -> None:
    factories.base_model()
    factories.base_model("Old/Model", active=False)
    body = nobody.get(f"base-models/{adapters.HUB_ID.lower()}/").json()
    assert body["hub_id"] == adapters.HUB_ID and body["tensors"] == adapters.base_model().to_json()
    for hub_id in ("Old/Model", "nobody/knows"):
        assert nobody.get(f"base-models/{hub_id}/").status_code == 404


def test_the_leaderboard_has_ranks_scores_and_costs(nobody: Api, owner: User) -> None:
    factories.published(owner, method="Worse", correct=50)
    factories.published(owner, method="Better", correct=60)
    body = nobody.get("leaderboards/finance/").json()
    assert (body["challenge"], body["protocol"], body["next"]) == ("finance", 1, None)
    assert [(row["rank"], row["method"], row["average"]) for row in body["results"]] == [
        (1, "Better", 0.6),
        (2, "Worse", 0.5),
    ]
    assert {"entry", "team", "base_model", "scores", "resources"} <= body["results"][0].keys()


def test_a_board_comes_in_pages_where_one_asks_for_them(nobody: Api, owner: User) -> None:
    for correct in (50, 60, 70):
        factories.published(owner, method=f"M{correct}", correct=correct)
    methods, address = [], "leaderboards/finance/?page_size=2"
    while address:
        page = nobody.get(address).json()
        methods.append([row["method"] for row in page["results"]])
        address = (page["next"] or "").partition("/api/v1/")[2]
    assert methods == [["M70", "M60"], ["M50"]]
    assert nobody.get("leaderboards/finance/?cursor=0").status_code == 400


def test_an_unknown_board_suggests_the_known(nobody: Api) -> None:
    response = nobody.get("leaderboards/poetry/")
    assert response.status_code == 404 and "finance" in response.json()["detail"]
