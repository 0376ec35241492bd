"""JSON lines of the log, with the ids of what they belong to."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from django.test import Client

from evaluation.log_lines import JsonLines, about
from portal.accounts.models import User
from portal.environment import PROJECT_ROOT
from portal.runs.models import Evaluation
from tests.portal import factories


@pytest.fixture
def lines() -> Iterator[list[dict[str, Any]]]:
    """What is logged, as a program that collects it would read it; complete only as the test goes on."""
    found: list[dict[str, Any]] = []

    class Collected(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            found.append(json.loads(self.format(record)))

    handler = Collected()
    handler.setFormatter(JsonLines())
    logging.getLogger().addHandler(handler)
    try:
        yield found
    finally:
        logging.getLogger().removeHandler(handler)


def test_a_line_is_one_object_with_the_ids_of_all_blocks_around_it(lines: list[dict[str, Any]]) -> None:
    logger = logging.getLogger("site")
    try:
        raise ValueError("two\nlines")
    except ValueError:
        with about(request="r1"), about(submission=3, claim=None):
            logger.exception("it broke:\n%s", "here")
    logger.warning("after")
    first, second = lines
    assert (first["level"], first["logger"], first["message"]) == ("error", "site", "it broke:\nhere")
    assert (first["request"], first["submission"]) == ("r1", 3) and "claim" not in first
    assert first["time"].endswith("+00:00") and "ValueError: two" in first["exception"]
    assert set(second) == {"time", "level", "logger", "message"}


@pytest.mark.django_db
def test_a_request_answers_with_its_id_and_takes_one_from_a_trusted_proxy_alone(
    client: Client, settings: Any
) -> None:
    def answered(given: str) -> str:
        return client.get("/healthz", headers={"X-Request-ID": given})["X-Request-ID"]

    assert answered("from-outside") != "from-outside" and len(answered("")) == 32
    settings.TRUST_PROXY = True
    assert answered("from-the-proxy.1") == "from-the-proxy.1"
    assert "\n" not in answered("two\tparts") and answered("x" * 300) != "x" * 300


@pytest.mark.django_db
def test_an_address_that_is_none_is_logged_with_its_requests_id(
    client: Client, lines: list[dict[str, Any]]
) -> None:
    answer = client.get("/no-such-page/")
    assert [line["request"] for line in lines if line["logger"] == "django.request"] == [
        answer["X-Request-ID"]
    ]


@pytest.mark.django_db
def test_what_a_request_queues_is_logged_with_request_submission_and_evaluation(
    lines: list[dict[str, Any]], owner: User, django_capture_on_commit_callbacks: Any
) -> None:
    with about(request="r7"), django_capture_on_commit_callbacks(execute=True):
        made = factories.submission(owner)
    queued = next(line for line in lines if line["logger"] == "portal.runs.services")
    evaluation = Evaluation.objects.get(submission=made)
    assert (queued["request"], queued["submission"], queued["evaluation"]) == ("r7", made.pk, evaluation.pk)


def test_a_child_writes_its_warnings_as_its_worker_does() -> None:
    code = (
        "import logging; from evaluation.log_lines import about, warnings_to_stderr; warnings_to_stderr()\n"
        "with about(claim='c1'): logging.getLogger('evaluation.x').warning('careful')"
    )

    def said(form: str) -> str:
        done = subprocess.run(
            [sys.executable, "-c", code],
            cwd=PROJECT_ROOT,
            env=os.environ | {"LOG_FORMAT": form},
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stderr

    assert json.loads(said("json")).items() >= {"message": "careful", "claim": "c1"}.items()
    assert said("text") == "careful\n"
