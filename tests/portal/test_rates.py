"""Rates are exact however many ask at once, and hold for pages that readers make up as well."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.core.cache import cache
from django.test import Client

from portal import rates
from portal.accounts.models import User
from tests.portal import factories

PAGE = "/leaderboard/finance/?max_size={}"


@pytest.fixture(autouse=True)
def nothing_counted() -> None:
    cache.clear()


@pytest.fixture
def owner(db: None) -> User:
    return factories.user("owner")


@pytest.fixture
def few_views(settings: Any) -> None:
    few = {**settings.REST_FRAMEWORK["DEFAULT_THROTTLE_RATES"], "views": "3/minute"}
    settings.REST_FRAMEWORK = {**settings.REST_FRAMEWORK, "DEFAULT_THROTTLE_RATES": few}


def test_of_fifty_at_once_no_more_pass_than_the_rate_says() -> None:
    with ThreadPoolExecutor(50) as pool:
        hits = list(pool.map(lambda _: rates.hit("120/minute", "test", "crowd"), range(300)))
    assert sum(hit.is_allowed for hit in hits) == 120
    assert min(hit.remaining for hit in hits) == 0 and all(1 <= hit.reset <= 60 for hit in hits)


def test_who_asks_counts_for_nobody_else() -> None:
    assert rates.hit("1/minute", "test", "one").is_allowed
    assert not rates.hit("1/minute", "test", "one").is_allowed
    assert rates.hit("1/minute", "test", "two").is_allowed


def test_without_valkey_nobody_is_held_back_and_the_log_says_so(
    settings: Any, caplog: pytest.LogCaptureFixture
) -> None:
    settings.REDIS_URL = "unix:///nowhere.sock"
    assert all(rates.hit("1/minute", "test", "away").is_allowed for _ in range(3))
    assert "rates are not counted" in caplog.text


def test_views_of_readers_own_making_have_a_rate(client: Client, owner: User, few_views: None) -> None:
    factories.published(owner)
    for size in range(3):
        assert client.get(PAGE.format(10 + size)).status_code == 200
    refused = client.get(PAGE.format(50))
    assert refused.status_code == 429 and 1 <= int(refused["Retry-After"]) <= 60
    assert "Load this page again in" in refused.content.decode()
    assert client.get(PAGE.format(10)).status_code == 200, "what is made already may be read on"
    assert client.get("/leaderboard/finance/").status_code == 200
    assert client.get("/leaderboard/finance.csv?max_size=50").status_code == 429
    assert client.get("/compare/?entries=1,2").status_code == 429


def test_who_is_signed_in_is_not_held_back(client: Client, owner: User, few_views: None) -> None:
    client.force_login(owner)
    assert [client.get(PAGE.format(60 + size)).status_code for size in range(6)] == [200] * 6
