"""While database or queue are away, pages and API say so with the time to come back, and nothing breaks."""

from __future__ import annotations

from typing import Any

import pytest
from celery import Celery
from django.db import connection
from django.db.utils import OperationalError
from django.test import Client
from kombu.exceptions import OperationalError as BrokerError
from redis.exceptions import ConnectionError as RedisConnectionError

from leaderboard.views import home
from portal import queues
from portal.accounts.models import User
from portal.runs import services as runs
from tests.portal import factories


@pytest.fixture
def visitor() -> Client:
    return Client(raise_request_exception=False)


@pytest.mark.parametrize(
    "error",
    [OperationalError("gone"), BrokerError("gone"), RedisConnectionError("gone")],
    ids=lambda error: type(error).__module__,
)
def test_a_page_is_back_in_a_moment(
    visitor: Client, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def away(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(home.snapshots, "current", away)
    answer = visitor.get("/")
    assert answer.status_code == 503 and int(answer["Retry-After"]) > 0
    assert "Nothing is lost" in answer.content.decode() and answer["Cache-Control"] == "no-store"


@pytest.mark.django_db
def test_the_api_says_it_as_a_problem(visitor: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(*_: object) -> None:
        raise OperationalError("the connection is lost")

    with connection.execute_wrapper(away):
        answer = visitor.get("/api/v1/submissions/1/")
        page = visitor.get("/submissions/", headers={"cookie": "sessionid=" + "a" * 32})
    assert answer.status_code == page.status_code == 503
    assert answer["Content-Type"] == "application/problem+json" and int(answer["Retry-After"]) > 0
    assert answer.json()["type"] == "urn:flowertune:problem:unavailable"


def test_other_errors_stay_errors(visitor: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(home.snapshots, "current", broken)
    assert visitor.get("/").status_code == 500


@pytest.mark.django_db(transaction=True)
def test_a_submission_is_taken_while_the_queue_is_away(
    owner: User, monkeypatch: pytest.MonkeyPatch, settings: Any, caplog: pytest.LogCaptureFixture
) -> None:
    nowhere = "redis://127.0.0.1:9/0"
    away = Celery("away", broker=nowhere)
    away.conf.update(task_publish_retry_policy={"max_retries": 1})
    monkeypatch.setattr(queues, "app", away)
    settings.CACHES = {"default": {**settings.CACHES["default"], "LOCATION": nowhere}}
    assert factories.submission(owner).status == "queued"
    assert runs.work_is_waiting() and "waits for the next periodic wake-up" in caplog.text
