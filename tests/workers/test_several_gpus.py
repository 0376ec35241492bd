"""A worker with two GPUs, which these tests make up: an evaluation on each, or a large model on both."""

from __future__ import annotations

import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import psutil
import pynvml
import pytest

from evaluation import gpus
from evaluation.engines.hardware import Hardware
from evaluation.gpu_turns import Turn
from portal.control import orders
from portal.control.models import Act, Hold
from portal.control.orders import Operator
from portal.operate import overview
from portal.runs import presence
from portal.runs.models import Evaluation
from tests.portal import factories
from tests.workers.conftest import wait_until
from tests.workers.test_evaluate import follow
from workers import capabilities, claiming, supervisor, turns
from workers.claiming import Evaluator
from workers.orders import WORKER_NAME
from workers.slots import Slots

pytestmark = pytest.mark.django_db(transaction=True)

GB = 10**9
SMALL, LARGE = 7 * GB, 12 * GB
"""Parameters: in bf16 one fits a GPU of 20 GB, the other takes both."""


@pytest.fixture
def two_gpus(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    nvml = ModuleType("nvml")
    nvml.__dict__.update(
        NVMLError=pynvml.NVMLError,
        nvmlDeviceGetCount=lambda: 4,
        nvmlDeviceGetHandleByIndex=lambda index: f"GPU-of-a-test-{index}",
        nvmlDeviceGetHandleByUUID=lambda uuid: uuid,
        nvmlDeviceGetUUID=lambda handle: handle,
        nvmlDeviceGetCudaComputeCapability=lambda _handle: (9, 0),
        nvmlDeviceGetMemoryInfo=lambda _handle: SimpleNamespace(free=20 * GB, total=20 * GB),
    )
    monkeypatch.setattr(gpus, "_driver", lambda: nvml)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))  # the locks lie there
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1,3")
    monkeypatch.setattr(capabilities.vllm_support, "build", lambda: "cuda")
    monkeypatch.setattr(turns, "POLL_SECONDS", 0.02)


@pytest.fixture
def worker(two_gpus: None, settings: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Evaluator]:
    """This process, whose evaluations go by scripts."""
    settings.EVALUATION_DATA, settings.EVALUATION_PRECISION = "demonstration", "bf16"
    monkeypatch.setattr(supervisor, "MODULE", "tests.workers.scripted_evaluation")
    made = Evaluator(Slots.here(), Hardware.here())
    monkeypatch.setattr(claiming, "here", lambda: made)
    yield made
    made.slots.stop()
    supervisor.shutting_down.clear()


@pytest.fixture
def queue(tmp_path: Path, transactional_db: None) -> Callable[..., tuple[Evaluation, Path]]:
    """Queue an evaluation of somebody's on a base model of its own; its script lies in the folder."""

    def queued(name: str, parameters: int = SMALL, **script: Any) -> tuple[Evaluation, Path]:
        folder = tmp_path / name
        folder.mkdir()
        follow(folder, **script)
        made = factories.submission(factories.user(name))
        model = factories.base_model(f"Example/{name}", local_path=str(folder), parameters=parameters)
        Evaluation.objects.filter(submission=made).update(base_model=model)
        return factories.evaluation_of(made), folder

    return queued


@contextmanager
def working() -> Iterator[threading.Thread]:
    """The worker goes through the queue meanwhile, and is told to stop in the end."""
    thread = threading.Thread(target=claiming.run_queued)
    thread.start()
    try:
        yield thread
    finally:
        supervisor.shutting_down.set()
        thread.join(60)
        assert not thread.is_alive()


def children() -> dict[str, psutil.Process]:
    """What evaluates, by the GPUs that it is given."""
    found = psutil.Process().children()
    mine = [one for one in found if "tests.workers.scripted_evaluation" in one.cmdline()]
    return {one.environ()["CUDA_VISIBLE_DEVICES"]: one for one in mine}


def scores(evaluation: Evaluation) -> int:
    return evaluation.scores.count()


def status(evaluation: Evaluation) -> str:
    return Evaluation.objects.get(pk=evaluation.pk).status


def test_two_run_at_once_and_what_kills_one_leaves_the_other(worker: Evaluator, queue: Any) -> None:
    first, _ = queue("first", hang_after=1)
    second, second_folder = queue("second", hang_after=1)
    with working():
        wait_until(lambda: scores(first) == scores(second) == 1, "a score of each")
        assert set(children()) == {"1", "3"}
        presence.beat(WORKER_NAME, ())
        (shown,) = overview.workers()
        assert {one.pk for one in shown.doing} == {first.pk, second.pk}
        follow(second_folder)
        untouched, killed = children()["1"], children()["3"]
        killed.kill()
        wait_until(lambda: status(second) == "succeeded", "the one that was killed, tried again")
        assert (status(first), untouched.is_running()) == ("running", True)
    ended = Evaluation.objects.get(pk=second.pk)
    assert (ended.attempts, ended.provenance["earlier_failure"]["code"]) == (1, "engine_crash")
    given_back = Evaluation.objects.get(pk=first.pk)
    assert (given_back.status, given_back.attempts, scores(first)) == ("queued", 0, 1)
    assert not children()


def test_all_threads_of_a_worker_share_its_gpus(two_gpus: None, monkeypatch: pytest.MonkeyPatch) -> None:
    def slowly() -> Hardware:
        time.sleep(0.05)
        return Hardware((), 64 * GB)

    monkeypatch.setattr(claiming, "Hardware", SimpleNamespace(here=slowly))
    claiming._made.cache_clear()
    with ThreadPoolExecutor(4) as threads:
        found = set(threads.map(lambda _: claiming.here(), range(4)))
    claiming._made.cache_clear()
    assert len(found) == 1


def test_a_drained_worker_finishes_both_and_begins_no_third(worker: Evaluator, queue: Any) -> None:
    both = [queue(name, wait_after=1) for name in ("first", "second")]
    third, _ = queue("third")
    with working() as thread:
        wait_until(lambda: all(scores(one) == 1 for one, _ in both), "a score of each")
        by = Operator(None, Act.Via.TERMINAL)
        orders.hold(Hold.Kind.WORKER, WORKER_NAME, how=Hold.How.DRAIN, reason="upgrade", by=by)
        for _, folder in both:
            (folder / "go").touch()
        thread.join(60)
        assert [status(one) for one, _ in both] == ["succeeded", "succeeded"]
        assert status(third) == "queued" and Evaluation.objects.get(pk=third.pk).attempts == 0


def test_a_large_model_waits_for_both_and_none_that_came_later_passes_it(
    worker: Evaluator, queue: Any
) -> None:
    small, small_folder = queue("small", wait_after=1)
    large, large_folder = queue("large", LARGE, wait_after=1)
    later, _ = queue("later")
    with working() as thread:
        wait_until(lambda: "waiting" in _phase(large) and scores(small) == 1, "the large one's wait")
        assert _phase(large) == "waiting: other evaluations have the 2 GPUs that it takes"
        (small_folder / "go").touch()
        wait_until(lambda: scores(large) == 1, "the large one's first score")
        assert set(children()) in ({"1,3"}, {"3,1"})
        assert (status(small), status(later)) == ("succeeded", "queued")
        (large_folder / "go").touch()
        thread.join(60)
        assert (status(large), status(later)) == ("succeeded", "succeeded")


def _phase(evaluation: Evaluation) -> str:
    return str(Evaluation.objects.get(pk=evaluation.pk).progress.get("phase", ""))


def test_two_large_ones_at_once_come_one_after_the_other(worker: Evaluator, queue: Any) -> None:
    large = [queue(name, LARGE)[0] for name in ("one", "another")]
    claiming.run_queued()
    assert [status(one) for one in large] == ["succeeded", "succeeded"]


def test_a_model_that_only_the_larger_of_two_unlike_gpus_holds_is_evaluated_there(
    worker: Evaluator, queue: Any, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.EVALUATION_ENGINE = "transformers"  # which uses one
    memory = {"GPU-of-a-test-1": 20 * GB, "GPU-of-a-test-3": 80 * GB}
    monkeypatch.setattr(
        gpus._driver(),
        "nvmlDeviceGetMemoryInfo",
        lambda handle: SimpleNamespace(free=memory[handle], total=memory[handle]),
    )
    unlike = Evaluator(Slots.here(), Hardware.here())
    small, large = queue("small")[0], queue("large", LARGE)[0]
    unlike.run()
    unlike.slots.stop()
    assert (status(small), status(large)) == ("succeeded", "succeeded")


def test_a_gpu_that_another_worker_waits_for_leaves_the_other_to_work(worker: Evaluator, queue: Any) -> None:
    evaluation, _ = queue("small")
    with Turn(gpus.visible()[:1]) as another:
        another.want()
        with working():
            wait_until(lambda: status(evaluation) == "succeeded", "its end on the other GPU")
            another.waits_no_more()


def test_what_breaks_a_search_for_work_is_in_the_log_and_the_next_search_finds_it(
    worker: Evaluator, queue: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    evaluation, _ = queue("small")
    with monkeypatch.context() as patched:
        patched.setattr(claiming.services, "claim", None)
        worker.run()
    (logged,) = (record for record in caplog.records if record.name == "workers.claiming")
    assert logged.exc_info and logged.exc_info[0] is TypeError
    worker.run()
    assert status(evaluation) == "succeeded"


def test_nothing_begins_on_a_gpu_that_a_training_on_both_waits_for(worker: Evaluator, queue: Any) -> None:
    evaluation, _ = queue("small")
    with Turn(gpus.visible()) as training:
        training.want()
        with working() as thread:
            thread.join(0.3)
            assert status(evaluation) == "queued"
            training.waits_no_more()
            thread.join(60)
            assert status(evaluation) == "succeeded"
