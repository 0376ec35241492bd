"""A baseline run in a worker: its rounds recorded as they come, nothing lost, its result submitted."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import psutil
import pytest
from huggingface_hub import constants

from evaluation.data import training
from evaluation.rules.challenges import CHALLENGES
from portal.accounts.models import User
from portal.baselines import queue
from portal.baselines.services import cancel
from portal.baselines.training_rows import rows_of as training_rows
from portal.runs.models import BaselineRun, DataRegistration
from tests.evaluation.hub_files import parquet
from tests.evaluation.hub_server import HubServer
from tests.portal import baselines, factories
from tests.workers import lines
from workers import evaluate, train
from workers.leases import Lease

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def staff(transactional_db: None) -> User:
    return factories.operator("staff")


@pytest.fixture(autouse=True)
def scripted(settings: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    settings.TRAINING_STATE = tmp_path / "training"
    settings.STORAGES = {
        **settings.STORAGES,
        "default": {
            "BACKEND": "django.core.files.storage.FileSystemStorage",
            "OPTIONS": {"location": tmp_path / "storage"},
        },
    }
    monkeypatch.setattr(train, "MODULE", "tests.workers.scripted_training")
    monkeypatch.setattr(train, "model_folder", lambda *_: tmp_path)
    yield
    evaluate.shutting_down.clear()


def started(staff: User, rounds: int = 3, clients: int = 4, **script: Any) -> BaselineRun:
    """A claimed run whose child will follow `script`, and leave an adapter that fits the base model."""
    run = baselines.run(staff, rounds=rounds, clients=clients)
    state = train.state_folder(run) / "state"
    result = state / "result"
    result.mkdir(parents=True)
    (state / "script.json").write_text(json.dumps(script))
    (result / "adapter_model.safetensors").write_bytes(factories.adapter_bytes())
    (result / "adapter_config.json").write_bytes(factories.config_bytes())
    (result / "pyproject.toml").write_bytes(factories.PYPROJECT)
    (result / "training.json").write_text(json.dumps(baselines.RECORD))
    return run


def claimed() -> BaselineRun:
    run = queue.claim(worker="test")
    assert run
    return run


def train_once(run: BaselineRun) -> None:
    process = train.TrainingProcess()
    try:
        train.train(run, process)
    finally:
        process.end()


def rounds_of(run: BaselineRun) -> list[int]:
    return list(run.round_metrics.values_list("round", flat=True))


def wait_until(happened: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 120
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_finished_run_is_a_reference_entry_that_waits_for_its_evaluation(staff: User) -> None:
    run = started(staff)
    train_once(claimed())
    run.refresh_from_db()
    assert (run.status, run.rounds_done, rounds_of(run)) == ("succeeded", 3, [1, 2, 3]), run.error_message
    assert run.setup["partition"] == [25] * 4
    entry = run.submission
    assert entry and (entry.kind, entry.status, entry.team.name) == (
        "reference",
        "queued",
        "Reference baselines",
    )
    measured = dict(entry.resources.filter(basis="measured").values_list("kind", "value"))
    assert measured["communication_up"] == 3000 and measured["wall_time"] == 7.5
    failures = run.round_metrics.get(round=2).failures
    assert failures == [{"client": 2, "reason": "its loss is not finite"}]
    assert not train.state_folder(run).exists()


def test_a_killed_child_is_started_again_and_goes_on_after_its_last_round(staff: User) -> None:
    run = started(staff, die_in=2)
    train_once(claimed())
    run.refresh_from_db()
    assert (run.status, run.attempts, run.error_code) == ("queued", 1, "engine_crash")
    assert "killed" in run.error_message and rounds_of(run) == [1]
    first = run.round_metrics.get(round=1).recorded_at

    train_once(claimed())
    run.refresh_from_db()
    assert (run.status, rounds_of(run)) == ("succeeded", [1, 2, 3])
    assert run.round_metrics.get(round=1).recorded_at == first


def test_a_run_that_lost_its_state_does_its_rounds_again_and_keeps_their_first_measurement(
    staff: User,
) -> None:
    run = started(staff, die_in=3)
    train_once(claimed())
    first = list(run.round_metrics.values_list("pk", flat=True))
    (train.state_folder(run) / "state" / "rounds").unlink()
    train_once(claimed())
    run.refresh_from_db()
    assert (run.status, rounds_of(run)) == ("succeeded", [1, 2, 3])
    assert set(first) < set(run.round_metrics.values_list("pk", flat=True))


def test_a_run_that_came_to_its_end_while_its_worker_was_lost_has_all_rounds(staff: User) -> None:
    run = started(staff)
    folder = train.state_folder(run)
    rounds = [asdict(baselines.metric(number)) for number in (1, 2, 3)]
    (folder / "state" / "result").rename(folder / "output")
    (folder / "output" / "training.json").write_text(json.dumps({**baselines.RECORD, "rounds": rounds}))
    work = claimed()
    queue.record_round(work, baselines.metric(1))
    train_once(work)
    run.refresh_from_db()
    assert (run.status, run.rounds_done, rounds_of(run)) == ("succeeded", 3, [1, 2, 3]), run.error_message


def test_an_error_in_what_was_asked_fails_the_run_with_its_reason(staff: User) -> None:
    error = {"code": "data", "message": "the rows have no column “label”", "fault": "input"}
    run = started(staff, fail_in=1, error=error)
    train_once(claimed())
    run.refresh_from_db()
    assert (run.status, run.error_code) == ("failed", "data")
    assert "label" in run.error_message


@pytest.mark.parametrize(("line", "reason"), lines.SPOILED)
def test_what_is_no_message_is_a_failure_that_is_retried_and_the_worker_goes_on(
    line: str, reason: str, staff: User
) -> None:
    run = started(staff, spoil_in=2, line=line)
    train_once(claimed())
    run.refresh_from_db()
    assert (run.status, run.attempts, run.error_code, rounds_of(run)) == ("queued", 1, "wire", [1])
    assert reason in run.error_message

    (train.state_folder(run) / "state" / "script.json").write_text("{}")
    train_once(claimed())
    run.refresh_from_db()
    assert (run.status, rounds_of(run)) == ("succeeded", [1, 2, 3])


def test_rounds_reset_the_count_of_broken_attempts(staff: User) -> None:
    error = {"code": "engine_crash", "message": "Ray ended", "fault": "crash"}
    run = started(staff, fail_in=2, error=error)
    train_once(claimed())
    train_once(claimed())  # no round came of this attempt
    run.refresh_from_db()
    assert (run.status, run.attempts) == ("failed", 2)


def test_cancelling_ends_the_process_of_a_running_run(staff: User) -> None:
    run = started(staff, hang_in=2)
    hanging = train.state_folder(run) / "state" / "hanging"
    worker = threading.Thread(target=in_thread(train_once, claimed()))
    worker.start()
    wait_until(lambda: hanging.exists() and bool(hanging.read_text()) and rounds_of(run) == [1])
    child = psutil.Process(int(hanging.read_text()))
    cancel(run, by=staff)
    worker.join(timeout=120)
    assert not worker.is_alive() and not child.is_running()
    run.refresh_from_db()
    assert (run.status, run.error_message, rounds_of(run)) == ("cancelled", "Cancelled by staff.", [1])
    assert run.submission is None


def test_a_stopped_worker_gives_its_run_back(staff: User) -> None:
    run = started(staff, hang_in=2)
    hanging = train.state_folder(run) / "state" / "hanging"
    worker = threading.Thread(target=in_thread(train_once, claimed()))
    worker.start()
    wait_until(lambda: hanging.exists() and rounds_of(run) == [1])
    evaluate.shutting_down.set()
    worker.join(timeout=120)
    run.refresh_from_db()
    assert (run.status, run.attempts, rounds_of(run)) == ("queued", 0, [1])
    assert train.state_folder(run).exists()


def test_a_result_that_the_checks_refuse_is_a_stored_reason(staff: User) -> None:
    run = started(staff)
    broken = train.state_folder(run) / "state" / "result" / "adapter_model.safetensors"
    broken.write_bytes(b"no safetensors")
    train_once(claimed())
    run.refresh_from_db()
    assert (run.status, run.error_code, run.submission) == ("failed", "invalid_submission", None)


def test_a_result_that_is_there_is_submitted_without_training_again(staff: User) -> None:
    run = started(staff, die_in=1)
    (train.state_folder(run) / "state" / "result").rename(train.state_folder(run) / "output")
    train_once(claimed())
    run.refresh_from_db()
    assert run.status == "succeeded"


def test_the_child_sees_no_secret(staff: User, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SECRET_KEY", "HF_TOKEN", "DATABASE_URL"):
        monkeypatch.setenv(name, "do not tell")
    run = started(staff, fail_in=2, error={"code": "data", "message": "stop", "fault": "input"})
    train_once(claimed())
    environment = (train.state_folder(run) / "state" / "environment.json").read_text()
    assert "do not tell" not in environment and "OMP_WAIT_POLICY" in environment
    assert json.loads(environment)["CUDA_DEVICE_ORDER"] == "PCI_BUS_ID"


def test_what_runs_that_are_over_left_is_cleared(staff: User) -> None:
    over, waiting = started(staff), started(staff)
    cancel(over, by=staff)
    train.clear_leftovers()
    assert not train.state_folder(over).exists()
    assert train.state_folder(waiting).exists()


def in_thread(call: Callable[[BaselineRun], None], run: BaselineRun) -> Callable[[], None]:
    def with_own_connection() -> None:
        from django.db import connection

        try:
            call(run)
        finally:
            connection.close()

    return with_own_connection


def test_the_training_set_comes_from_the_hub_while_the_page_tells_how_far_it_is(
    staff: User, settings: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.TRAINING_DATA, settings.VAR_DIR = "hub", tmp_path
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    wanted = CHALLENGES["finance"].training_set
    run = started(staff)
    phases: list[str] = []
    renew = Lease.renew

    def told(lease: Lease, progress: dict[str, Any] | None = None) -> None:
        phases.append((progress or {}).get("phase", ""))
        renew(lease, progress)

    monkeypatch.setattr(Lease, "renew", told)
    rows = [{"instruction": "i", "input": str(i), "output": "o"} for i in range(3)]
    with HubServer(wanted.hub_id, {"data/train-0.parquet": parquet(rows)}, kind="dataset") as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        train_once(claimed())
    run.refresh_from_db()
    assert run.status == "succeeded", run.error_message
    assert f"fetching {wanted.hub_id}, 0.0 of 0.0 MB" in phases
    known = DataRegistration.objects.get(name=wanted.hub_id)
    (kept,) = (tmp_path / "training-sets").iterdir()
    assert (known.rows, known.commit, kept.name) == (3, hub.commit, training.file_name(known.registration))
    assert training_rows(run.challenge).rows == 3


def test_a_hub_that_is_away_is_named_and_the_run_is_tried_again(
    staff: User, settings: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.TRAINING_DATA, settings.VAR_DIR = "hub", tmp_path
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    run = started(staff)
    train_once(claimed())
    run.refresh_from_db()
    assert (run.status, run.attempts, run.waiting_for) == ("queued", 0, "the model hub")
    assert run.outage and "the hub did not deliver the data set flwrlabs/" in run.outage.detail


def process_of(run: BaselineRun) -> str:
    """What names the scripted process that trained it."""
    return str(run.setup["hardware"])


@pytest.mark.parametrize(("clients", "processes"), [(4, 1), (5, 2)])
def test_one_process_trains_all_runs_of_a_queue_that_are_of_one_kind(
    staff: User, clients: int, processes: int
) -> None:
    first, second = started(staff), started(staff, clients=clients)
    train.run_queued()
    for run in (first, second):
        run.refresh_from_db()
        assert (run.status, rounds_of(run)) == ("succeeded", [1, 2, 3]), run.error_message
    assert len({process_of(first), process_of(second)}) == processes


def test_a_run_that_fails_leaves_the_next_one_a_new_process(staff: User) -> None:
    fails = started(staff, fail_in=2, error={"code": "data", "message": "no rows", "fault": "input"})
    whole = started(staff)
    train.run_queued()
    fails.refresh_from_db()
    whole.refresh_from_db()
    assert (fails.status, whole.status) == ("failed", "succeeded"), whole.error_message
    assert process_of(fails) != process_of(whole)
