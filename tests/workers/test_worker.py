"""The way of a submission through a real worker and a real child process. One worker does it all."""

from __future__ import annotations

from pathlib import Path

import pytest

from portal.accounts.models import User
from portal.intake.services import withdraw
from portal.submissions.models import BaseModel
from tests.workers.conftest import Worker, wait_until
from tests.workers.evaluations import child_of, evaluation_of, has_progress, submission

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.mark.slow("starts a worker and the child, which imports torch")
def test_a_submission_is_evaluated_and_goes_to_review(
    owner: User, tiny_model: BaseModel, tiny_adapter: Path, worker: Worker
) -> None:
    made = submission(owner, tiny_model, tiny_adapter)
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


@pytest.mark.slow("the child, which imports torch, is started twice")
def test_a_killed_child_is_an_infrastructure_failure_and_retried(
    owner: User, tiny_model: BaseModel, tiny_adapter: Path, worker: Worker
) -> None:
    made = submission(owner, tiny_model, tiny_adapter)
    wait_until(lambda: has_progress(made), "live progress")
    child_of(worker).kill()
    wait_until(lambda: evaluation_of(made).finished_at is not None, "the retry's end")
    evaluation = evaluation_of(made)
    assert (evaluation.status, evaluation.attempts) == ("succeeded", 1), evaluation.error_message
    failure = evaluation.provenance["earlier_failure"]
    assert failure["code"] == "engine_crash" and "killed" in failure["message"]


def test_withdrawing_ends_a_running_evaluation(
    owner: User, tiny_model: BaseModel, tiny_adapter: Path, worker: Worker
) -> None:
    made = submission(owner, tiny_model, tiny_adapter)
    wait_until(lambda: has_progress(made), "live progress")
    child = child_of(worker)
    withdraw(made)
    wait_until(lambda: not child.is_running(), "the child's end")
    assert evaluation_of(made).status == "cancelled"


def test_a_damaged_file_in_storage_is_not_evaluated_and_waits_for_the_operators(
    owner: User, tiny_model: BaseModel, tiny_adapter: Path, worker: Worker
) -> None:
    made = submission(owner, tiny_model, tiny_adapter)
    assert made.checkpoint
    Path(made.checkpoint.file.path).write_bytes(b"not what was checked")
    wait_until(lambda: evaluation_of(made).waiting_for != "", "the wait")
    evaluation = evaluation_of(made)
    assert (evaluation.status, evaluation.attempts) == ("queued", 0)
    assert evaluation.waiting_for == "the operators to restore a damaged file", "the storage is there"
    withdraw(made)


def test_the_child_sees_no_secret(
    owner: User, tiny_model: BaseModel, tiny_adapter: Path, worker: Worker
) -> None:
    made = submission(owner, tiny_model, tiny_adapter)
    wait_until(lambda: has_progress(made), "live progress")
    environment = child_of(worker).environ()
    assert not {"SECRET_KEY", "HF_TOKEN", "EMAIL_PASSWORD", "DATABASE_URL", "REDIS_URL"} & environment.keys()
    assert "hf_secret" not in str(environment)
