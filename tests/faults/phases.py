"""The phases: for each, the work that is done in it, and the moment at which the fault strikes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import httpx

from portal.accounts.models import User
from portal.notifications.models import Delivery
from portal.review.models import Decision
from portal.runs.models import BaselineRun, Evaluation
from portal.submissions.models import Submission
from portal.uploads.models import Upload
from tests.faults.case import Broken, Case, fresh
from tests.faults.hub import ADAPTER_REPOSITORY
from tests.faults.parts import lay_ready
from tests.faults.table import forget_fetched
from tests.portal import baselines, factories

Phase = Callable[[Case], None]

_TUS = {"Tus-Resumable": "1.0.0"}
_SCORE = b'INSERT INTO "runs_score"'
_SUCCEEDED = b'UPDATE "runs_evaluation" SET "status" = \'succeeded\''
BENCHMARKS = 3


def _draft(case: Case) -> None:
    case.parts.database.watch(b'INSERT INTO "submissions_submission"', case.strike)
    _made(case, _fields(case, draft=True))


def _upload(case: Case) -> None:
    _uploaded(case, between=case.strike)


def _submit(case: Case) -> None:
    document = _made(case, _fields(case, draft=True, adapter_upload=_uploaded(case)))
    case.parts.database.watch(b'INSERT INTO "runs_evaluation"', case.strike)
    key = {"Idempotency-Key": f"send {case.name}"}
    _expect(case.ask("POST", f"/api/v1/submissions/{document['id']}/send/", headers=key), 200)
    _evaluated(case)


def _hub_fetch(case: Case) -> None:
    adapter = case.parts.hub.adapter
    adapter.files = {
        "adapter_model.safetensors": factories.adapter_bytes(case.number),
        "adapter_config.json": factories.config_bytes(),
        "pyproject.toml": factories.PYPROJECT,
    }
    case.parts.hub.watch("adapter_model.safetensors", case.strike)
    base = factories.base_model().hub_id
    fields: dict[str, Any] = {"challenge": "finance", "base_model": base, "method": case.name}
    fields["not_trained_on_test_items"] = True
    _made(case, {**fields, "repository": ADAPTER_REPOSITORY})
    case.wait("the files from the hub", lambda: _only(case).checkpoint_id is not None, lambda: _refused(case))
    _evaluated(case)


def _base_model_fetch(case: Case) -> None:
    forget_fetched(case.parts)
    case.parts.hub.watch("model.safetensors", case.strike)
    _submitted(case)
    _evaluated(case)


def _struck_at(pattern: bytes, *, nth: int = 1, soon: bool = False) -> Phase:
    """An evaluation that is struck when these bytes go to the database, or a moment later."""

    def evaluation(case: Case) -> None:
        case.parts.database.watch(pattern, case.strike_soon if soon else case.strike, nth=nth)
        _submitted(case)
        _evaluated(case)

    return evaluation


def _decision(case: Case) -> None:
    _submitted(case)
    _evaluated(case)
    case.parts.database.watch(b'INSERT INTO "review_decision"', case.strike)
    _publish(case)


def _snapshot(case: Case) -> None:
    _submitted(case)
    _evaluated(case)
    case.parts.broker.watch(b"leaderboard.tasks.build_boards", case.strike)
    _publish(case)
    _on_the_board(case)


def _notification(case: Case) -> None:
    _submitted(case)
    _evaluated(case)
    case.parts.database.watch(b'UPDATE "notifications_delivery" SET "status" = \'delivered\'', case.strike)
    _publish(case)
    _notified(case)


def _training(pattern: bytes, *, nth: int = 1, soon: bool = False) -> Phase:
    def training(case: Case) -> None:
        files = {
            "adapter_model.safetensors": factories.adapter_bytes(case.number),
            "adapter_config.json": factories.config_bytes(),
            "pyproject.toml": factories.PYPROJECT,
        }
        measured = [asdict(baselines.metric(number)) for number in (1, 2, 3)]
        lay_ready(case.parts.var, files, {**baselines.RECORD, "rounds": measured})
        case.parts.database.watch(pattern, case.strike_soon if soon else case.strike, nth=nth)
        staff = User.objects.get(username="reviewer")
        run = baselines.run(staff, rounds=3, method=case.name)

        def row() -> BaselineRun:
            return BaselineRun.objects.get(pk=run.pk)

        case.wait("the run's end", lambda: row().status == "succeeded", lambda: _ended_badly(row()))
        rounds = fresh(lambda: list(row().round_metrics.values_list("round", flat=True)))
        if rounds != [1, 2, 3]:
            raise Broken("doubled" if len(rounds) > 3 else "lost", f"rounds {rounds}")
        _evaluated(case)

    return training


PHASES: dict[str, Phase] = {
    "draft": _draft,
    "upload": _upload,
    "submit": _submit,
    "hub fetch": _hub_fetch,
    "base model fetch": _base_model_fetch,
    "loading": _struck_at(b"loading the base model"),
    "scoring": _struck_at(_SCORE, soon=True),
    "recording": _struck_at(_SCORE, nth=2),
    "finishing": _struck_at(_SUCCEEDED),
    "decision": _decision,
    "snapshot": _snapshot,
    "notification": _notification,
    "rounds": _training(b'INSERT INTO "runs_roundmetric"', soon=True),
    "storing": _training(b"submitting the result"),
    "its evaluation": _training(_SCORE, nth=2),
}


# What clients do


def _fields(case: Case, **changes: Any) -> dict[str, Any]:
    texts = {"adapter_config": factories.config_bytes().decode(), "pyproject": factories.PYPROJECT.decode()}
    base = factories.base_model().hub_id
    fields = {"challenge": "finance", "base_model": base, "method": case.name}
    return {**fields, "not_trained_on_test_items": True, **texts, **changes}


def _made(case: Case, fields: dict[str, Any]) -> dict[str, Any]:
    """Make the case's submission, once however often it is asked for."""
    key = {"Idempotency-Key": f"make {case.name}"}
    document: dict[str, Any] = _expect(
        case.ask("POST", "/api/v1/submissions/", json=fields, headers=key), 201
    ).json()
    if fresh(lambda: _only(case)).pk != document["id"]:
        raise Broken("lost", f"submission {document['id']} was acknowledged and is not there")
    return document


def _submitted(case: Case) -> None:
    _made(case, _fields(case, adapter_upload=_uploaded(case)))


def _uploaded(case: Case, between: Callable[[], None] | None = None) -> str:
    """Send the adapter by tus in two pieces; returns the upload's id."""
    content = factories.adapter_bytes(case.number)
    begun = case.ask("POST", "/api/v1/uploads/", headers={**_TUS, "Upload-Length": str(len(content))})
    path = httpx.URL(_expect(begun, 201).headers["Location"]).path
    offset = 0
    while offset < len(content):
        end = len(content) // 2 if offset == 0 else len(content)
        if offset and between:
            between()
        kind = {"Upload-Offset": str(offset), "Content-Type": "application/offset+octet-stream"}
        case.ask("PATCH", path, content=content[offset:end], headers={**_TUS, **kind})
        offset = int(_expect(case.ask("HEAD", path, headers=_TUS), 200).headers["Upload-Offset"])
    key = path.rstrip("/").rpartition("/")[2]
    stored = fresh(lambda: Upload.objects.get(pk=key)).sha256
    if stored != hashlib.sha256(content).hexdigest():
        raise Broken("lost", f"the upload's digest is {stored!r}")
    return key


def _publish(case: Case) -> None:
    """The reviewer presses the button until it is published, as one who sees an error page does."""
    pk = fresh(lambda: _only(case)).pk

    def is_published() -> bool:
        try:
            case.decide("publish", pk)
        except httpx.TransportError as error:
            case.errors_met[type(error).__name__] = case.errors_met.get(type(error).__name__, 0) + 1
        return _only(case).status == "published"

    case.wait("the publication", is_published)
    decisions = fresh(lambda: Decision.objects.filter(submission=pk).count())
    if decisions != 1:
        raise Broken("doubled" if decisions else "lost", f"{decisions} decisions")


# What is to come of it


def _only(case: Case) -> Submission:
    found = list(Submission.objects.filter(method=case.name))
    if len(found) != 1:
        raise Broken("doubled" if found else "lost", f"{len(found)} submissions of {case.name}")
    return found[0]


def _evaluated(case: Case) -> None:
    def evaluation() -> Evaluation | None:
        return _only(case).evaluations.first()

    def failed() -> str:
        found = evaluation()
        return _ended_badly(found) if found else ""

    case.wait("the evaluation", lambda: _only(case).status == "in_review", failed)
    found = fresh(lambda: list(_only(case).evaluations.all()))
    scores = sum(fresh(evaluation.scores.count) for evaluation in found)
    if len(found) != 1 or scores != BENCHMARKS:
        raise Broken(
            "doubled" if scores > BENCHMARKS else "lost", f"{len(found)} evaluations, {scores} scores"
        )


def _on_the_board(case: Case) -> None:
    case.wait(
        "the entry on the board", lambda: case.name in case.ask("GET", "/leaderboard/finance.json").text
    )


def _notified(case: Case) -> None:
    number = fresh(lambda: _only(case)).pk

    def of_it(body: bytes) -> bool:
        document = json.loads(body)
        return document["type"].endswith("published") and f"/{number}/" in body.decode()

    case.wait(
        "the message", lambda: any(of_it(received.body) for received in list(case.parts.receiver.received))
    )
    waiting = Delivery.objects.exclude(webhook=None).filter(status__in=["waiting", "running"])
    case.wait("its record", lambda: not waiting.exists())


def _ended_badly(work: Evaluation | BaselineRun) -> str:
    return f"{work.error_code}: {work.error_message}" if work.status in ("failed", "cancelled") else ""


def _refused(case: Case) -> str:
    found = _only(case).findings.filter(code="hub.not_fetched").first()
    return f"{found.code}: {found.message}" if found else ""


def _expect(answer: httpx.Response, status: int) -> httpx.Response:
    if answer.status_code != status:
        raise Broken("wrongly failed", f"answered {answer.status_code}: {answer.text[:300]}")
    return answer
