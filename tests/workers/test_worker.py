"""The way of a submission through a real worker and a real child process, and what happens when they die."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import psutil
import pytest

from portal.accounts.models import User
from portal.intake.services import Draft, Files, submit, withdraw
from portal.runs.models import Evaluation
from portal.submissions.models import BaseModel, Submission
from tests.portal import factories
from tests.workers.conftest import Start, adapter_config

pytestmark = pytest.mark.django_db(transaction=True)
PATIENCE = 180.0


def submission(owner: User, model: BaseModel, adapter: Path, **changes: Any) -> Submission:
    weights = (adapter / "adapter_model.safetensors").read_bytes()
    draft = factories.draft(
        owner,
        base_model=model,
        files=Files(BytesIO(weights), len(weights), adapter_config(adapter), factories.PYPROJECT),
        **changes,
    )
    assert isinstance(draft, Draft)
    return submit(draft)


def wait_until(happened: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while not happened():
        assert time.monotonic() < deadline, f"waited {PATIENCE} s for: {what}"
        time.sleep(0.1)


def evaluation_of(made: Submission) -> Evaluation:
    return Evaluation.objects.get(submission=made)


def has_progress(made: Submission) -> bool:
    evaluation = evaluation_of(made)
    return evaluation.status == "running" and evaluation.progress.get("benchmark") is not None


def child_of(worker: Any) -> psutil.Process:
    children = psutil.Process(worker.pid).children(recursive=True)
    return next(child for child in children if "evaluation.server" in child.cmdline())


def test_a_submission_is_evaluated_and_goes_to_review(
    owner: User, tiny_model: BaseModel, tiny_adapter: Path, start_worker: Start
) -> None:
    made = submission(owner, tiny_model, tiny_adapter)
    start_worker(EVALUATION_LIMIT="")
    wait_until(lambda: evaluation_of(made).finished_at is not None, "the evaluation's end")
    evaluation = evaluation_of(made)
    assert evaluation.status == "succeeded", evaluation.error_message
    made.refresh_from_db()
    assert made.status == "in_review"
    scores = {score.benchmark: score for score in evaluation.scores.all()}
    assert set(scores) == {"fpb", "fiqa", "tfns"}
    for score in scores.values():
        assert score.data == "demonstration" and not score.official and score.n >= 40
        with score.items.open("rb") as items:
            assert items.read().count(b"\n") == score.n
        ones = sum(byte.bit_count() for byte in bytes(score.correct_bits))
        assert ones == score.correct
    assert evaluation.provenance["protocol"] == 1
    assert evaluation.provenance["adapter_digests"]["adapter_model.safetensors"] == made.checkpoint.sha256  # type: ignore[union-attr]


def test_a_worker_killed_in_the_middle_loses_nothing(
    owner: User, tiny_model: BaseModel, tiny_adapter: Path, start_worker: Start
) -> None:
    made = submission(owner, tiny_model, tiny_adapter)
    first = start_worker()
    wait_until(lambda: has_progress(made), "live progress")
    child = child_of(first)
    before = set(evaluation_of(made).scores.values_list("pk", flat=True))
    os.kill(first.pid, signal.SIGKILL)
    first.wait()
    wait_until(lambda: not child.is_running() or child.status() == psutil.STATUS_ZOMBIE, "the child's end")
    assert evaluation_of(made).status == "running"  # nobody could write that it ended

    start_worker()
    wait_until(lambda: evaluation_of(made).finished_at is not None, "the other worker's end")
    evaluation = evaluation_of(made)
    assert (evaluation.status, evaluation.attempts) == ("succeeded", 1)
    assert before <= set(evaluation.scores.values_list("pk", flat=True))
    assert evaluation.scores.count() == 3


def test_a_killed_child_is_an_infrastructure_failure_and_retried(
    owner: User, tiny_model: BaseModel, tiny_adapter: Path, start_worker: Start
) -> None:
    made = submission(owner, tiny_model, tiny_adapter)
    worker = start_worker()
    wait_until(lambda: has_progress(made), "live progress")
    child_of(worker).kill()
    wait_until(lambda: evaluation_of(made).finished_at is not None, "the retry's end")
    evaluation = evaluation_of(made)
    assert (evaluation.status, evaluation.attempts) == ("succeeded", 1), evaluation.error_message
    failure = evaluation.provenance["earlier_failure"]
    assert failure["code"] == "engine_crash" and "killed" in failure["message"]


def test_a_stopped_worker_gives_its_evaluation_back(
    owner: User, tiny_model: BaseModel, tiny_adapter: Path, start_worker: Start
) -> None:
    made = submission(owner, tiny_model, tiny_adapter)
    worker = start_worker()
    wait_until(lambda: has_progress(made), "live progress")
    child = child_of(worker)
    worker.terminate()
    worker.wait(timeout=120)
    evaluation = evaluation_of(made)
    assert (evaluation.status, evaluation.attempts) == ("queued", 0)
    assert not child.is_running()


def test_withdrawing_ends_a_running_evaluation(
    owner: User, tiny_model: BaseModel, tiny_adapter: Path, start_worker: Start
) -> None:
    made = submission(owner, tiny_model, tiny_adapter)
    worker = start_worker()
    wait_until(lambda: has_progress(made), "live progress")
    child = child_of(worker)
    withdraw(made)
    wait_until(lambda: not child.is_running(), "the child's end")
    assert evaluation_of(made).status == "cancelled"


def test_a_missing_data_folder_is_a_stored_reason(
    owner: User, tiny_model: BaseModel, tiny_adapter: Path, start_worker: Start
) -> None:
    made = submission(owner, tiny_model, tiny_adapter)
    start_worker(EVALUATION_DATA="/no/such/folder")
    wait_until(lambda: evaluation_of(made).finished_at is not None, "the failure")
    evaluation = evaluation_of(made)
    assert (evaluation.status, evaluation.error_code) == ("failed", "data")
    assert "/no/such/folder" in evaluation.error_message
    made.refresh_from_db()
    assert made.status == "failed"


def test_data_that_cannot_be_fetched_is_a_stored_reason(
    owner: User, tiny_model: BaseModel, tiny_adapter: Path, start_worker: Start, tmp_path: Path
) -> None:
    made = submission(owner, tiny_model, tiny_adapter)
    start_worker(EVALUATION_DATA="", HF_HUB_OFFLINE="1", HF_HOME=str(tmp_path))
    wait_until(lambda: evaluation_of(made).finished_at is not None, "the failure")
    evaluation = evaluation_of(made)
    assert (evaluation.status, evaluation.error_code) == ("failed", "hub")
    assert "HF_HUB_OFFLINE is set" in evaluation.error_message


def test_a_damaged_file_in_storage_is_never_evaluated(
    owner: User, tiny_model: BaseModel, tiny_adapter: Path, start_worker: Start
) -> None:
    made = submission(owner, tiny_model, tiny_adapter)
    assert made.checkpoint
    Path(made.checkpoint.file.path).write_bytes(b"not what was checked")
    start_worker()
    wait_until(lambda: evaluation_of(made).finished_at is not None, "the failure")
    evaluation = evaluation_of(made)
    assert (evaluation.status, evaluation.error_code, evaluation.attempts) == ("failed", "storage", 2)


def test_the_child_sees_no_secret(
    owner: User, tiny_model: BaseModel, tiny_adapter: Path, start_worker: Start
) -> None:
    made = submission(owner, tiny_model, tiny_adapter)
    worker = start_worker(SECRET_KEY="do not tell", HF_TOKEN="hf_secret", EMAIL_PASSWORD="hidden")
    wait_until(lambda: has_progress(made), "live progress")
    environment = child_of(worker).environ()
    assert not {"SECRET_KEY", "HF_TOKEN", "EMAIL_PASSWORD", "DATABASE_URL", "REDIS_URL"} & environment.keys()
    assert "hf_secret" not in str(environment)
