"""Evaluations whose worker dies, is stopped, or lacks what it needs: each test has workers of its own."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import psutil
import pytest

from portal.accounts.models import User
from portal.submissions.models import BaseModel
from tests.workers.conftest import Start, wait_until
from tests.workers.evaluations import child_of, evaluation_of, has_progress, submission

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.mark.slow("starts two workers and waits for a lease to end")
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


@pytest.mark.slow("starts a worker and the child, which imports torch")
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


def test_data_that_cannot_be_fetched_is_waited_for_and_the_operators_read_why(
    owner: User, tiny_model: BaseModel, tiny_adapter: Path, start_worker: Start, tmp_path: Path
) -> None:
    made = submission(owner, tiny_model, tiny_adapter)
    start_worker(EVALUATION_DATA="", HF_HUB_OFFLINE="1", HF_HOME=str(tmp_path))
    wait_until(lambda: evaluation_of(made).outage is not None, "the wait")
    evaluation = evaluation_of(made)
    assert (evaluation.status, evaluation.attempts) == ("queued", 0)
    assert evaluation.outage and "HF_HUB_OFFLINE is set" in evaluation.outage.detail
