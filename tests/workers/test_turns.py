"""Evaluating and training on one GPU: turns between processes, on a GPU that these tests make up."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from evaluation.gpu_turns import Turn
from portal.accounts.models import User
from portal.environment import PROJECT_ROOT
from tests.workers.test_train import claimed, rounds_of, scripted, staff, started, wait_until
from workers import supervisor, train, turns

__all__ = ["scripted", "staff"]

GIB = 1024**3


@dataclass
class Gpu:
    """A made-up GPU, whose locks lie in a folder."""

    folder: Path
    free: int = 10 * GIB
    uuids: tuple[str, ...] = ("GPU-1",)

    def free_bytes(self) -> int:
        return self.free

    def turn(self) -> Turn:
        return Turn(self.uuids, self.folder)


@dataclass
class Told:
    """In place of a lease: what it was told."""

    phases: list[str] = field(default_factory=list)

    def renew(self, progress: dict[str, Any] | None = None) -> None:
        if progress:
            self.phases.append(progress["phase"])


@pytest.fixture
def gpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Gpu]:
    made = Gpu(tmp_path / "turns")
    monkeypatch.setattr(turns, "here", lambda: made)
    monkeypatch.setattr(turns, "POLL_SECONDS", 0.02)
    yield made
    supervisor.shutting_down.clear()


@dataclass
class Work:
    """Work in a thread that uses the GPU until it is told to end."""

    needed: Callable[[], int]
    lease: Any = field(default_factory=Told)
    runs: threading.Event = field(default_factory=threading.Event)
    ends: threading.Event = field(default_factory=threading.Event)
    refused: list[BaseException] = field(default_factory=list)

    def __enter__(self) -> Work:
        self._thread = threading.Thread(target=self._work)
        self._thread.start()
        return self

    def _work(self) -> None:
        try:
            with turns.taken(turns.here(), "evaluation 7", self.needed, self.lease):
                self.runs.set()
                assert self.ends.wait(60)
        except turns.ShuttingDownError as error:
            self.refused.append(error)

    def __exit__(self, *_: object) -> None:
        self.ends.set()
        self._thread.join(60)
        assert not self._thread.is_alive()


def test_without_a_gpu_nothing_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turns, "here", lambda: None)
    with Work(lambda: 10**15) as one, Work(lambda: 10**15) as other:
        assert one.runs.wait(60) and other.runs.wait(60)


def test_what_does_not_fit_waits_and_says_what_for(gpu: Gpu) -> None:
    with gpu.turn() as training:
        assert training.take("baseline run 3")
        with Work(lambda: 16 * GIB) as work:
            assert not work.runs.wait(0.2)
            assert work.lease.phases == [
                "waiting: baseline run 3 has the GPU; about 16 GiB are needed and 10 free"
            ]
            training.give()
            gpu.free = 20 * GIB
            assert work.runs.wait(60)


def test_what_fits_beside_settled_work_does_not_wait(gpu: Gpu, monkeypatch: pytest.MonkeyPatch) -> None:
    with gpu.turn() as training:
        assert training.take("baseline run 3")
        with Work(lambda: 8 * GIB) as work:
            assert not work.runs.wait(0.2), "what the other fills is not known yet"
            monkeypatch.setattr(turns, "SETTLED_SECONDS", -1.0)
            assert work.runs.wait(60)


def test_two_that_need_it_all_come_one_after_the_other(gpu: Gpu) -> None:
    with Work(lambda: 8 * GIB) as first:
        assert first.runs.wait(60)
        with Work(lambda: 8 * GIB) as second:
            assert not second.runs.wait(0.2)
            first.ends.set()
            assert second.runs.wait(60)


def test_who_waits_comes_before_who_comes_again(gpu: Gpu) -> None:
    with gpu.turn() as waiting:
        waiting.want()
        began = time.monotonic()
        with Work(lambda: GIB) as work:
            assert work.runs.wait(60)
        assert time.monotonic() - began >= turns.POLL_SECONDS


def test_a_turn_ends_with_a_holder_that_is_killed(gpu: Gpu) -> None:
    program = (
        "import sys, time; from pathlib import Path; from evaluation.gpu_turns import Turn\n"
        "turn = Turn(['GPU-1'], Path(sys.argv[1])); print(turn.take('a worker'), flush=True); time.sleep(600)"
    )
    holder = subprocess.Popen(
        [sys.executable, "-c", program, str(gpu.folder)], stdout=subprocess.PIPE, cwd=PROJECT_ROOT
    )
    assert holder.stdout and holder.stdout.readline() == b"True\n"
    with holder, Work(lambda: GIB) as work:
        wait_until(
            lambda: work.lease.phases == ["waiting: a worker has the GPU; about 1 GiB are needed and 10 free"]
        )
        os.kill(holder.pid, signal.SIGKILL)
        assert work.runs.wait(60)


def test_memory_that_nothing_here_holds_is_not_waited_for_without_end(
    gpu: Gpu, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Work(lambda: 16 * GIB) as work:
        assert not work.runs.wait(0.2)
        monkeypatch.setattr(turns, "FOREIGN_SECONDS", 0.0)
        assert work.runs.wait(60)


def test_a_worker_that_is_stopped_waits_no_more(gpu: Gpu) -> None:
    with gpu.turn() as training:
        assert training.take("baseline run 3")
        with Work(lambda: 16 * GIB) as work:
            wait_until(lambda: bool(work.lease.phases))
            supervisor.shutting_down.set()
            wait_until(lambda: bool(work.refused))
        assert not gpu.turn().is_wanted()


def test_two_gpus_are_taken_together_or_not_at_all(tmp_path: Path) -> None:
    with Turn(["b", "a"], tmp_path) as both, Turn(["b"], tmp_path) as second, Turn(["a"], tmp_path) as first:
        assert second.take("one")
        assert not both.take("both")
        assert first.take("the other is still free")
        first.give()
        second.give()
        assert both.take("both")
        assert not first.take("one")


@pytest.mark.django_db(transaction=True)
def test_a_training_gives_way_after_a_round_and_goes_on_later(
    staff: User, gpu: Gpu, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(turns, "LEAST_SECONDS", 0.0)
    run = started(staff, rounds=3, linger_in=2)
    starts: list[int] = []
    real = train.Child

    def child(*arguments: Any) -> Any:
        starts.append(1)
        return real(*arguments)

    monkeypatch.setattr(train, "Child", child)
    with gpu.turn() as evaluating:
        evaluating.want()
        thread = threading.Thread(target=_watch, args=(evaluating, starts))
        thread.start()
        train.train(claimed(), train.TrainingProcess())
        thread.join(60)
    run.refresh_from_db()
    assert (run.status, rounds_of(run)) == ("succeeded", [1, 2, 3])
    assert len(starts) > 1


def _watch(evaluating: Turn, starts: list[int]) -> None:
    """Take the turn once the training gave it, and let it go on."""
    wait_until(lambda: bool(starts))
    wait_until(lambda: evaluating.take("evaluation 7"))
    evaluating.waits_no_more()
    evaluating.give()


def test_an_idle_evaluation_process_frees_the_gpu_that_another_waits_for(tmp_path: Path) -> None:
    program = (
        "import queue, sys; from pathlib import Path; from evaluation import server\n"
        "from evaluation.gpu_turns import Turn\n"
        "server._LOOK_SECONDS = 0.02; print('idle', flush=True)\n"
        "server._next(queue.SimpleQueue(), Turn(['GPU-1'], Path(sys.argv[1])))"
    )
    idle = subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path)], stdout=subprocess.PIPE, cwd=PROJECT_ROOT
    )
    assert idle.stdout and idle.stdout.readline() == b"idle\n"
    with idle, Turn(["GPU-1"], tmp_path) as waiting:
        assert idle.poll() is None
        waiting.want()
        assert idle.wait(60) == 0
