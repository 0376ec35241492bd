"""Every answer says what is left of a client's requests, and who asks too much is told how long to wait."""

from __future__ import annotations

from typing import Any

import pytest

from portal.accounts.models import User
from tests.portal.api.conftest import Api, client_of

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def rates(settings: Any) -> None:
    settings.REST_FRAMEWORK = {
        **settings.REST_FRAMEWORK,
        "DEFAULT_THROTTLE_RATES": {"anon": "3/minute", "user": "5/minute"},
    }


def test_each_answer_counts_down(api: Api, nobody: Api) -> None:
    response = api.get("challenges/")
    assert response["RateLimit-Policy"] == '"user";q=5;w=60'
    assert response["RateLimit"].startswith('"user";r=4;t=')
    assert nobody.get("challenges/")["RateLimit"].startswith('"anon";r=2;t=')


@pytest.mark.parametrize("path", ["nothing/", "submissions/0/", "submissions/?status=lost"])
def test_refusals_count_too(api: Api, path: str) -> None:
    assert api.get(path)["RateLimit"].startswith('"user";r=4;')


def test_too_many_requests_are_refused_with_the_time_to_wait(nobody: Api) -> None:
    for _ in range(3):
        assert nobody.get("challenges/").status_code == 200
    refused = nobody.get("challenges/")
    assert refused.status_code == 429 and refused["Content-Type"] == "application/problem+json"
    assert 1 <= int(refused["Retry-After"]) <= 61
    assert refused["RateLimit"].startswith('"anon";r=0;')


def test_nobody_tries_tokens_without_end(db: None) -> None:
    answers = [Api(f"ftl_{n}").get("submissions/").status_code for n in range(4)]
    assert answers == [401, 401, 401, 429]
    assert Api("ftl_x").call("PUT", "submissions/").status_code == 429


def test_a_users_tokens_share_one_allowance(owner: User) -> None:
    for _ in range(5):
        assert client_of(owner).get("challenges/").status_code == 200
    assert client_of(owner).get("challenges/").status_code == 429


def test_uploads_count_as_well(api: Api) -> None:
    assert api.call("OPTIONS", "uploads/")["RateLimit"].startswith('"user";r=4;')
