"""Database or Valkey hang: one request waits within bounds, others are not held up, and it is asked again."""

from __future__ import annotations

import os
import signal
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from django.db import connection, connections
from django.db.utils import OperationalError
from django.test import Client
from django_redis.cache import RedisCache

from leaderboard.views import home
from portal import queues, rates, silence, valkey
from portal.database import base, patience
from portal.runs import services as runs
from tests.portal import factories


class Frozen:
    """Takes connections, as the kernel does for a stopped process, and never says a word."""

    def __init__(self) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._socket.getsockname()[1]
        self.taken: list[socket.socket] = []
        threading.Thread(target=self._take, daemon=True).start()

    def _take(self) -> None:
        with suppress(OSError):  # closed
            while True:
                self.taken.append(self._socket.accept()[0])

    def close(self) -> None:
        for one in [self._socket, *self.taken]:
            one.close()


@pytest.fixture
def frozen() -> Iterator[Frozen]:
    server = Frozen()
    yield server
    server.close()


@pytest.fixture
def hanging_valkey(frozen: Frozen, settings: Any, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(valkey, "ANSWER_SECONDS", 0.2)
    monkeypatch.setattr(silence, "LEFT_ALONE_SECONDS", 3600)
    settings.REDIS_URL = f"redis://127.0.0.1:{frozen.port}/0"
    return settings.REDIS_URL


def test_cache_and_rates_wait_once_for_a_valkey_that_hangs(
    frozen: Frozen, hanging_valkey: str, caplog: pytest.LogCaptureFixture
) -> None:
    options = {"IGNORE_EXCEPTIONS": True, "CONNECTION_POOL_CLASS": "portal.valkey.Pool"}
    cache = RedisCache(hanging_valkey, {"OPTIONS": options})
    assert cache.get("anything", "nothing") == "nothing"
    assert all(rates.hit("1/minute", "test", "hung").is_allowed for _ in range(50))
    assert [cache.get("anything") for _ in range(50)] == [None] * 50
    assert not valkey.answers(hanging_valkey)
    assert len(frozen.taken) == 1 and caplog.text.count("gives no answer; it is asked again") == 1


@pytest.mark.django_db(transaction=True)
def test_a_submission_is_taken_while_valkey_hangs(hanging_valkey: str, frozen: Frozen) -> None:
    assert factories.submission(factories.user("owner")).status == "queued"
    queues.wake_evaluators()
    assert runs.work_is_waiting() and len(frozen.taken) == 1


def test_after_the_pause_one_asks_again_for_all(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr(silence.time, "monotonic", lambda: now)
    service = silence.Silence("a service")
    with ThreadPoolExecutor(1) as pool:

        def elsewhere() -> bool:
            return pool.submit(service.refuses).result()

        assert not service.refuses() and not elsewhere()
        service.began()
        assert service.refuses() and elsewhere()
        now += silence.LEFT_ALONE_SECONDS
        assert not service.refuses() and not service.refuses(), "the one that tries may connect and ask"
        assert elsewhere()
        service.ended()
        assert not service.refuses() and not elsewhere()


@pytest.mark.django_db(transaction=True)
def test_a_page_whose_database_falls_silent_is_back_in_a_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    def silent(*_: object, **__: object) -> None:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_sleep(1)")

    monkeypatch.setattr(patience, "ANSWER_SECONDS", 0.3)
    monkeypatch.setattr(home.snapshots, "current", silent)
    answer = Client(raise_request_exception=False).get("/")
    assert answer.status_code == 503 and int(answer["Retry-After"]) > 0
    monkeypatch.undo()
    connection.close()  # as at the end of a request; the test client leaves it out
    assert Client().get("/").status_code == 200


@pytest.mark.django_db(transaction=True)
def test_an_answer_that_keeps_coming_and_work_outside_of_requests_have_no_bound() -> None:
    steps = "SELECT repeat('x', 20000), pg_sleep(0.02) FROM generate_series(1, 60)"
    with connection.cursor() as cursor:
        with patience.of(0.8):
            cursor.execute(steps)
            assert len(cursor.fetchall()) == 60
        cursor.execute("SELECT pg_sleep(1)")


def test_requests_leave_a_database_alone_that_takes_connections_and_is_silent(
    frozen: Frozen, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(base, "CONNECT_SECONDS", 2)
    monkeypatch.setattr(base, "_silence", silence.Silence("a database"))
    there = {**connection.settings_dict, "HOST": "127.0.0.1", "PORT": str(frozen.port)}
    away = base.DatabaseWrapper(there, f"frozen-{uuid4()}")
    with patience.of(patience.ANSWER_SECONDS):
        for _ in range(5):
            with pytest.raises(psycopg.OperationalError):
                away.get_new_connection(away.get_connection_params())
    assert len(frozen.taken) == 1


@pytest.mark.django_db(transaction=True)
def test_a_connection_whose_server_froze_between_two_requests_is_given_up_soon(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(base, "CONNECT_SECONDS", 0.3)
    monkeypatch.setattr(base, "_silence", silence.Silence("a database"))
    connection.ensure_connection()
    server = connection.connection.info.backend_pid
    os.kill(server, signal.SIGSTOP)
    try:
        with patience.of(patience.ANSWER_SECONDS):
            assert not connection.is_usable()
            connection.close()
            with ThreadPoolExecutor(1) as pool, pytest.raises(OperationalError, match="a moment ago"):
                pool.submit(
                    patience.of(1)(connections.create_connection("default").ensure_connection)
                ).result()
    finally:
        os.kill(server, signal.SIGCONT)
