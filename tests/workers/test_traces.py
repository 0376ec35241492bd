"""A submission's trace: one, from the request that sent it to the board that it stands on."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.test import Client
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from leaderboard.tasks import build_boards
from portal import tracing
from portal.accounts.models import ApiToken, User
from portal.environment import PROJECT_ROOT, read_environment
from portal.review import cases
from portal.runs.models import Evaluation
from portal.submissions.models import BaseModel, Submission
from tests.portal import factories
from tests.portal.api.conftest import metadata
from tests.workers.receiver import Receiver
from workers import claiming, supervisor
from workers.claiming import Evaluator

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def collector(monkeypatch: pytest.MonkeyPatch) -> Iterator[Receiver]:
    with Receiver() as receiver:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{receiver.port}")
        monkeypatch.setattr(tracing, "_tracer", None)
        tracing.start(read_environment().otel_exporter_otlp_endpoint, "flowertune-web")
        yield receiver
        tracing.stop()


@pytest.fixture
def scripted(
    settings: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    transactional_db: None,
    evaluator: Evaluator,
) -> Path:
    """The folder where the evaluation's process finds its script."""
    settings.EVALUATION_DATA = "demonstration"
    monkeypatch.setattr(supervisor, "MODULE", "tests.workers.scripted_evaluation")
    factories.base_model()
    BaseModel.objects.update(local_path=tmp_path)
    return tmp_path


def spans(collector: Receiver) -> list[Span]:
    """What the collector got, in the order of its beginning."""
    tracing.stop()
    assert {one.path for one in collector.received} == {"/v1/traces"}
    requests = [ExportTraceServiceRequest.FromString(one.body) for one in collector.received]
    found = [span for r in requests for of in r.resource_spans for s in of.scope_spans for span in s.spans]
    return sorted(found, key=lambda span: span.start_time_unix_nano)


def sent(member: User) -> Submission:
    """As the API takes it."""
    parts = {"metadata": metadata(), **factories.uploads()}
    token = ApiToken.issue(user=member, name="tests")[1]
    answer = Client().post("/api/v1/submissions/", parts, headers={"Authorization": f"Bearer {token}"})
    assert answer.status_code == 201, answer.content
    return Submission.objects.get(pk=answer.json()["id"])


def test_one_trace_has_request_queue_benchmarks_review_and_board(
    collector: Receiver, scripted: Path, owner: User, client: Client
) -> None:
    (scripted / "script.json").write_text("{}")
    made = sent(owner)
    claiming.run_queued()
    reviewer = factories.user("reviewer", is_staff=True, is_superuser=True)
    cases.claim(made, reviewer=reviewer)
    client.force_login(reviewer)
    client.post(f"/review/{made.pk}/publish/", {"reason": "", "confirmed": "1"})
    build_boards()
    assert Submission.objects.get().status == "published"
    found = spans(collector)
    assert {span.trace_id for span in found} == {found[0].trace_id}
    names = {span.span_id: span.name for span in found}
    assert len(names) == len(found)
    root, evaluation = "POST api/v1/submissions/", "evaluation"
    assert {span.name: names.get(span.parent_span_id) for span in found} == {
        root: None,
        "waiting in the queue": root,
        evaluation: root,
        "preparing the files": evaluation,
        "loading the base model": evaluation,
        **dict.fromkeys(("fpb", "fiqa", "tfns"), evaluation),
        "storing the score": evaluation,
        "in review": root,
        "POST review/<int:pk>/<slug:action>/": root,
        "building the board": root,
    }
    (whole,) = (span for span in found if span.name == evaluation)
    said = {one.key: one.value.string_value or one.value.int_value for one in whole.attributes}
    row = Evaluation.objects.get()
    assert said["evaluation"] == row.pk and said["submission"] == made.pk and said["claim"]


def test_what_broke_an_attempt_stands_with_it_by_its_code_alone(
    collector: Receiver, scripted: Path, owner: User, settings: Any
) -> None:
    settings.EVALUATION_ATTEMPTS = 1
    (scripted / "script.json").write_text(json.dumps({"spoil_after": 0, "line": "s3cret words"}))
    factories.submission(owner)
    claiming.run_queued()
    assert Evaluation.objects.get().error_code == "wire"
    found = {span.name: span for span in spans(collector)}
    assert found["evaluation"].status.code == Status.STATUS_CODE_ERROR
    assert "s3cret" not in str(found)
    assert found["queued"].parent_span_id == b"", "without a request, its queueing is the root"


@pytest.mark.slow("starts a process of the site")
def test_without_a_receiver_nothing_of_it_is_imported() -> None:
    program = (
        "import sys, portal.wsgi, workers.app, workers.tasks;"
        "print([m for m in sys.modules if m.startswith(('opentelemetry', 'sentry'))])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=PROJECT_ROOT, env=os.environ, capture_output=True, text=True
    )
    assert done.stdout == "[]\n", done.stderr


def test_a_receiver_without_an_address_stops_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4318")
    with pytest.raises(ImproperlyConfigured, match=r"OTEL_EXPORTER_OTLP_ENDPOINT: .*http"):
        read_environment()
