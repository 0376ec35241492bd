"""Whatever is asked of the API, it answers as its schema says, and never with a server error.

`make test-long` asks more of it, and FUZZ_EXAMPLES=200 as much as one likes.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
import schemathesis
from django.core.signals import request_finished, request_started
from django.core.wsgi import get_wsgi_application
from django.db import close_old_connections
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.checks import CHECKS, load_all_checks
from schemathesis.config import SchemathesisConfig
from schemathesis.core.failures import FailureGroup

from portal.accounts.models import ApiToken, User, personal_team
from portal.uploads.headers import CONTENT_TYPE
from portal.uploads.models import Upload
from tests.portal import factories
from tests.portal.api.conftest import finished_upload
from tests.profiles import LONG

pytestmark = pytest.mark.django_db

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES") or (120 if LONG else 5))
# The rules of the field go beyond what a schema can say: a listed base model, an upload that is there.
ALL = list(HealthCheck)
NOT_CHECKED = ["positive_data_acceptance"]
# tus answers a missing version with 412, and what has come to another place with 409 and 410.
REFUSALS = [400, 401, 403, 404, 405, 406, 409, 410, 411, 412, 413, 415, 422, 423]


@pytest.fixture
def unthrottled(settings: Any) -> None:
    rates = {"DEFAULT_THROTTLE_RATES": {"anon": None, "user": None}}
    settings.REST_FRAMEWORK = {**settings.REST_FRAMEWORK, **rates}


@pytest.fixture
def api_schema(unthrottled: None) -> Any:
    rules = {"checks": {"negative_data_rejection": {"expected-statuses": REFUSALS}}}
    return schemathesis.openapi.from_wsgi(
        "/api/schema/?format=json",
        served(get_wsgi_application()),
        config=SchemathesisConfig.from_dict(rules),
    )


def served(app: Any) -> Any:
    """Call `app` as Django's test client does: keep the connection, and close the answer's files."""

    def answered(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        for signal in (request_started, request_finished):
            signal.disconnect(close_old_connections)
        answer = app(environ, start_response)
        try:
            return [b"".join(answer)]
        finally:
            answer.close()
            for signal in (request_started, request_finished):
                signal.connect(close_old_connections)

    return answered


@schemathesis.serializer(CONTENT_TYPE)
def as_bytes(ctx: Any, value: Any) -> bytes:
    return value if isinstance(value, bytes) else str(value).encode()


@pytest.fixture
def rows(owner: User) -> Callable[[str], dict[str, str]]:
    """Path parameters that name something that is there; made anew where a request deleted it."""
    published = factories.published(owner)
    evaluation = factories.evaluation_of(published)

    def of(path: str) -> dict[str, str]:
        if "uploads" in path:
            upload = Upload.objects.filter(consumed_at=None).first()
            return {"id": str(upload.pk) if upload else finished_upload(owner)}
        if "evaluations" in path:
            return {"id": str(evaluation.pk), "benchmark": "fpb"}
        if "submissions" in path:
            draft = owner.submissions.filter(status="received").first()
            return {"id": str((draft or published).pk)}
        if "teams" in path:
            return {"id": str(personal_team(owner).pk)}
        return {"slug": "finance", "challenge": "finance"}

    return of


@pytest.mark.slow("asks every operation of the API many times")
@pytest.mark.parametrize("mode", list(GenerationMode))
def test_every_answer_is_the_documented_one(
    mode: GenerationMode, api_schema: Any, owner: User, rows: Callable[[str], dict[str, str]]
) -> None:
    headers = {"Authorization": f"Bearer {ApiToken.issue(user=owner, name='fuzz')[1]}"}
    failures = []
    for operation in (result.ok() for result in api_schema.get_all_operations()):
        try:
            ask(operation, mode, headers, rows)
        except FailureGroup as failure:
            failures.append(f"{operation.label}: {failure}")
    assert not failures, "\n\n".join(failures)


def ask(
    operation: Any, mode: GenerationMode, headers: dict[str, str], rows: Callable[[str], dict[str, str]]
) -> None:
    """Send requests of one operation, some to rows that are there. Raises FailureGroup for wrong answers."""
    load_all_checks()
    skipped = CHECKS.get_by_names(NOT_CHECKED)

    @settings(max_examples=EXAMPLES, derandomize=True, database=None, suppress_health_check=ALL)
    @given(st.data())
    def example(data: st.DataObject) -> None:
        has_row = "{" in operation.path and data.draw(st.booleans())
        there = rows(operation.path) if has_row else None
        case = data.draw(operation.as_strategy(mode, path_parameters=there))
        case.call_and_validate(headers=headers, excluded_checks=skipped)

    with suppress(Unsatisfiable):  # nothing of this operation could be wrong
        example()
