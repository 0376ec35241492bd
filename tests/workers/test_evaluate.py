"""An evaluation in a worker's hands, whatever its process says: recorded, resumed, or failed by name."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from evaluation.wire.evaluating import JOBS, Job
from portal.accounts.models import User
from portal.runs import services, transfer
from portal.runs.models import Evaluation
from portal.submissions.models import BaseModel, Submission
from tests.portal import factories
from tests.small_disk import fill, small_disk
from tests.workers import lines
from tests.workers.conftest import wait_until
from tests.workers.evaluations import run
from workers import capabilities, supervisor
from workers.claiming import Evaluator

__all__ = ["small_disk"]

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def scripted(settings: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, evaluator: Evaluator) -> None:
    settings.EVALUATION_DATA = "demonstration"
    settings.STORAGES = {
        **settings.STORAGES,
        "default": {
            "BACKEND": "django.core.files.storage.FileSystemStorage",
            "OPTIONS": {"location": tmp_path / "storage"},
        },
    }
    monkeypatch.setattr(supervisor, "MODULE", "tests.workers.scripted_evaluation")


@pytest.fixture
def folder(tmp_path: Path, transactional_db: None) -> Path:
    """Of the base model; the process finds there what it shall do."""
    factories.base_model()
    BaseModel.objects.update(local_path=tmp_path)
    return tmp_path


def follow(folder: Path, **script: Any) -> None:
    """The next job goes by this script."""
    (folder / "script.json").write_text(json.dumps(script))


def jobs(folder: Path) -> list[tuple[str, ...]]:
    """The benchmarks of each job that the process got."""
    return [job.benchmarks for job in whole_jobs(folder)]


def whole_jobs(folder: Path) -> list[Job]:
    found = [JOBS.parse(line) for line in (folder / "jobs.jsonl").read_text().splitlines()]
    return [job for job in found if isinstance(job, Job)]


def attempt(made: Submission) -> Evaluation:
    """The evaluation of a submission after the worker had it once."""
    claimed = services.claim(worker="test")
    assert claimed and claimed.submission == made
    run(claimed)
    return Evaluation.objects.get(submission=made)


def scores_of(evaluation: Evaluation) -> dict[str, int]:
    return dict(evaluation.scores.values_list("benchmark", "pk"))


def test_what_the_process_says_is_recorded(owner: User, folder: Path) -> None:
    follow(folder)
    evaluation = attempt(factories.submission(owner))
    assert evaluation.status == "succeeded", evaluation.error_message
    assert evaluation.provenance == {"precision": "fp4"}
    score = evaluation.scores.get(benchmark="fpb")
    assert (score.value, score.standard_error, score.n, score.correct) == (0.5, 0.1, 2, 1)
    assert (bytes(score.correct_bits), bytes(score.scored_bits)) == (b"\x80", b"\xc0")
    with score.items.open() as items:
        assert score.unofficial_reasons == ["demonstration data"]
        assert items.read().splitlines() == [b'{"correct": true}', b'{"correct": false}']


def test_what_happens_is_in_the_evaluations_log_without_the_machines_folders(
    owner: User, folder: Path
) -> None:
    follow(folder, note=f"memory ran out with {folder}/model.safetensors")
    evaluation = attempt(factories.submission(owner))
    told = [(line.level, line.text) for line in evaluation.log.all()]
    assert told[2:] == [
        ("info", "Preparing the files: Example/Tiny-Llama and the adapter."),
        ("info", "The files are here; evaluating FPB, FiQA, TFNS in fp4."),
        ("info", "Loading the base model."),
        ("warning", "memory ran out with …/model.safetensors"),
        ("info", "FPB: 1 of 2 right, in 1 s"),
        ("info", "FiQA: 1 of 2 right, in 1 s"),
        ("info", "TFNS: 1 of 2 right, in 1 s"),
        ("info", "All benchmarks are scored."),
    ]


def test_the_claim_is_kept_while_the_sandbox_is_tried(
    owner: User, folder: Path, settings: Any, evaluator: Evaluator, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.EVALUATION_LEASE_SECONDS = 4
    follow(folder)
    made = factories.submission(owner)

    def slowly(_challenge: str, _protocol: int) -> None:
        claimed = factories.evaluation_of(made).lease_expires_at
        wait_until(lambda: factories.evaluation_of(made).lease_expires_at != claimed, "a longer lease")

    monkeypatch.setattr(capabilities, "left_for_want_of_a_sandbox", slowly)
    evaluator.run()
    assert factories.evaluation_of(made).status == "succeeded"


def test_a_resumed_attempt_asks_for_no_benchmark_that_is_scored(owner: User, folder: Path) -> None:
    made = factories.submission(owner)
    follow(folder, die_after=2)
    broken = attempt(made)
    assert (broken.status, broken.attempts, broken.error_code) == ("queued", 1, "engine_crash")
    assert "was killed" in broken.error_message
    first = scores_of(broken)
    assert set(first) == {"fpb", "fiqa"}

    follow(folder)
    ended = attempt(made)
    assert ended.status == "succeeded", ended.error_message
    assert jobs(folder) == [("fpb", "fiqa", "tfns"), ("tfns",)]
    assert first.items() < scores_of(ended).items(), "the first scores stay"


@pytest.mark.parametrize(("line", "reason"), lines.SPOILED)
def test_what_is_no_message_is_a_failure_that_is_retried_and_the_worker_goes_on(
    line: str, reason: str, owner: User, folder: Path
) -> None:
    made = factories.submission(owner)
    follow(folder, spoil_after=1, line=line)
    broken = attempt(made)
    assert (broken.status, broken.attempts, broken.error_code) == ("queued", 1, "wire")
    assert reason in broken.error_message and set(scores_of(broken)) == {"fpb"}

    follow(folder)
    ended = attempt(made)
    assert (ended.status, ended.provenance["earlier_failure"]["code"]) == ("succeeded", "wire")


def test_a_process_that_speaks_of_another_job_gives_no_score(owner: User, folder: Path) -> None:
    follow(folder, job="another")
    broken = attempt(factories.submission(owner))
    assert (broken.status, broken.error_code, scores_of(broken)) == ("queued", "wire", {})
    assert "an event of job another" in broken.error_message


def test_a_silent_process_is_killed_and_its_evaluation_retried(
    owner: User, folder: Path, settings: Any
) -> None:
    settings.EVALUATION_STALL_SECONDS = 0
    follow(folder, hang_after=1)
    broken = attempt(factories.submission(owner))
    assert (broken.status, broken.error_code) == ("queued", "engine_crash")
    assert "was silent for 0 seconds" in broken.error_message


def test_a_process_stays_for_the_next_evaluation(owner: User, folder: Path, evaluator: Evaluator) -> None:
    follow(folder)
    attempt(factories.submission(owner))
    process = evaluator.slots.all[0].process
    child = process._child
    attempt(factories.submission(factories.user("another")))
    assert child and child is process._child and child.is_running
    assert len(jobs(folder)) == 2


def test_a_full_disk_is_waited_for_and_leaves_nothing(
    owner: User, folder: Path, settings: Any, small_disk: Path
) -> None:
    made = factories.submission(owner)
    follow(folder)
    there, settings.VAR_DIR = settings.VAR_DIR, small_disk
    fill(small_disk / "filling")
    evaluation = attempt(made)
    assert (evaluation.status, evaluation.attempts) == ("queued", 0)
    assert evaluation.waiting_for == "room on the worker's disk"
    assert [path.name for path in small_disk.rglob("*") if path.is_file()] == ["filling"]
    settings.VAR_DIR = there
    Evaluation.objects.update(waits_until=None)
    assert attempt(made).status == "succeeded"


def test_a_storage_that_is_away_for_a_while_costs_no_attempt(owner: User, folder: Path) -> None:
    made = factories.submission(owner)
    follow(folder)
    away = (folder / "storage").rename(folder / "away")
    for _ in range(3):
        evaluation = attempt(made)
        assert (evaluation.status, evaluation.attempts) == ("queued", 0)
        assert evaluation.waiting_for == "the site's storage"
        Evaluation.objects.update(waits_until=None)
    away.rename(folder / "storage")
    assert attempt(made).status == "succeeded"


def test_other_domains_are_asked_in_the_precision_of_its_own(owner: User, folder: Path) -> None:
    follow(folder)
    made = factories.submission(owner)
    attempt(made)
    made.refresh_from_db()
    transfer.ask(made)
    while claimed := services.claim(worker="test"):
        run(claimed)
    got = whole_jobs(folder)[1:]
    assert {job.precision for job in got} == {"fp4"}
    assert [job.benchmarks[0] for job in got if job.adapter] == ["mmlu_stem", "pubmedqa", "mbpp"]
    assert [job.benchmarks[0] for job in got if not job.adapter] == ["mmlu_stem", "fpb", "pubmedqa", "mbpp"]
    measured = Evaluation.objects.exclude(purpose="board")
    assert {(one.status, one.error_message) for one in measured} == {("measured", "")}
