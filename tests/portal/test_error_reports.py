"""Errors are sent to the Sentry that the operator names, and nothing of what people sent goes with them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

import brotli
import pytest
from django.core.exceptions import ImproperlyConfigured
from django.db import connection

from portal.environment import PROJECT_ROOT, read_environment
from tests.workers.receiver import Receiver

# What web server and worker do, with what must stay here in every place where it might slip out.
WEB = """
from portal.wsgi import application
from django.http import HttpRequest, HttpResponse
from django.test import RequestFactory
from django.urls import path
from portal import urls

def broken(request, key):
    adapter = request.body.decode()
    raise KeyError(f"{adapter} of ada@example.org")

def away(request):
    return HttpResponse(status=503)

urls.urlpatterns += [path("reset/<key>/", broken), path("away/", away)]
made = RequestFactory().generic(
    "GET", "/reset/s3cret/?token=s3cret", "s3cret",
    headers={"Authorization": "Bearer s3cret", "Cookie": "sessionid=s3cret", "Host": "127.0.0.1"},
)
list(application(made.environ, lambda status, headers: print(status, dict(headers)["X-Request-ID"])))
list(application(RequestFactory().get("/away/", headers={"Host": "127.0.0.1"}).environ, lambda *_: None))
"""
WORKER = """
import logging
import workers.app
from evaluation.log_lines import about
from workers import supervisor

class Work:
    def __str__(self): return "s3cret"

with about(submission=3, evaluation=5, claim="c1"):
    try:
        raise ValueError("the adapter says s3cret")
    except ValueError as error:
        supervisor.broken(Work(), error)
logging.getLogger("some.library").error("s3cret %s", "s3cret")
logging.getLogger("workers").warning("no error")
for _ in range(3):
    logging.getLogger("celery.beat").error("Message Error: %s", "s3cret")
"""


def database_url() -> str:
    """Of the tests' database, which has all migrations: without them the site answers 503."""
    given = connection.get_connection_params()
    return f"postgresql://{given['user']}@/{given['dbname']}?host={given['host']}"


def reported(program: str) -> tuple[str, list[dict[str, Any]], str]:
    """What a process prints, the events that reach Sentry, and all bytes that do."""
    with Receiver() as sentry:
        done = subprocess.run(
            [sys.executable, "-c", program],
            cwd=PROJECT_ROOT,
            env=os.environ
            | {"SENTRY_DSN": f"http://key@127.0.0.1:{sentry.port}/42", "DATABASE_URL": database_url()},
            capture_output=True,
            text=True,
        )
    assert done.returncode == 0, done.stderr
    assert {one.path for one in sentry.received} == {"/api/42/envelope/"}
    envelopes = [brotli.decompress(one.body).decode() for one in sentry.received]
    parts = [json.loads(line) for envelope in envelopes for line in envelope.splitlines()]
    return done.stdout, [part for part in parts if "exception" in part or "logger" in part], str(envelopes)


@pytest.mark.django_db(transaction=True)
def test_a_request_that_breaks_is_told_by_place_route_and_id_without_what_was_sent() -> None:
    printed, (event,), sent = reported(WEB)
    status, _, request_id = printed.strip().rpartition(" ")
    assert status == "500 Internal Server Error"
    assert event["tags"] == {"request": request_id} and event["transaction"] == "reset/<key>/"
    (error,) = event["exception"]["values"]
    assert error["type"] == "KeyError" and error["stacktrace"]["frames"][-1]["function"] == "broken"
    assert not {"request", "user", "breadcrumbs", "extra"} & set(event)
    for kept_here in ("s3cret", "ada@example.org", database_url()):
        assert kept_here not in sent.replace("<string>", "")


@pytest.mark.django_db(transaction=True)
def test_a_workers_error_is_told_with_its_ids_and_the_words_that_stand_in_the_code() -> None:
    _, (event, of_library, of_broker), sent = reported(WORKER)
    assert event["tags"] == {"submission": "3", "evaluation": "5", "claim": "c1"}
    assert event["logentry"] == {"message": "%s broke"} and event["level"] == "error"
    assert event["exception"]["values"][0]["type"] == "ValueError"
    assert of_library["logger"] == "some.library" and "logentry" not in of_library
    assert of_broker["logger"] == "celery.beat"  # once, though it says so every few seconds
    assert "s3cret" not in sent


def test_a_name_that_is_none_stops_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SENTRY_DSN", "sentry.example.org")
    with pytest.raises(ImproperlyConfigured, match=r"SENTRY_DSN: .*https://KEY@HOST/PROJECT"):
        read_environment()
