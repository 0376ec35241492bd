"""A real worker for tests: a tiny random model on disk, real services, and Celery in a process of its own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from django.conf import settings
from django.db import connection

from evaluation.engines.hardware import Hardware
from portal.accounts.models import User
from portal.environment import PROJECT_ROOT
from portal.machine.processes import WORKER_THREADS
from portal.queues import QUEUES
from portal.runs.models import Evaluation
from portal.submissions.base_models import register_base_model
from portal.submissions.models import BaseModel
from tests.evaluation.conftest import make_adapter, make_tiny_llama
from tests.portal import factories
from tests.portal.conftest import quick_passwords
from workers import claiming, supervisor
from workers.claiming import Evaluator
from workers.slots import Slots

__all__ = ["quick_passwords"]

HUB_ID = "Example/Tiny-Random"
PATIENCE = 180.0


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_llama(tmp_path_factory.mktemp("model") / "tiny")


@pytest.fixture
def tiny_model(tiny_folder: Path, transactional_db: None) -> BaseModel:
    return register_base_model(hub_id=HUB_ID, folder=tiny_folder)


@pytest.fixture(scope="session")
def tiny_adapter(tiny_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_adapter(tiny_folder, tmp_path_factory.mktemp("adapter"))


@pytest.fixture
def owner(transactional_db: None) -> User:
    return factories.user("owner")


@pytest.fixture
def evaluator(monkeypatch: pytest.MonkeyPatch) -> Iterator[Evaluator]:
    """Of a worker that is this process, on a machine without GPUs."""
    made = Evaluator(Slots(), Hardware((), 64 * 10**9))
    monkeypatch.setattr(claiming, "here", lambda: made)
    yield made
    made.slots.stop()
    supervisor.shutting_down.clear()


Worker = subprocess.Popen[bytes]
Start = Callable[..., Worker]


@dataclass
class Workers:
    """Celery workers on the tests' database and broker. A context manager: leaving it kills them all."""

    folder: Path
    _running: list[Worker] = field(default_factory=list)

    def __enter__(self) -> Workers:
        return self

    def __exit__(self, *_: object) -> None:
        for worker in self._running:
            with suppress(ProcessLookupError):  # the scheduler in its group outlives a killed worker
                os.killpg(worker.pid, signal.SIGKILL)
            worker.wait()
        if self._log.exists():
            print(self._log.read_text(errors="replace")[-6000:])  # noqa: T201 -- shown when a test fails

    def start(self, **environment: str) -> Worker:
        socket = Path(str(connection.settings_dict["HOST"]))
        url = f"postgresql://{connection.settings_dict['USER']}@/{connection.settings_dict['NAME']}?host={socket}"
        command = [sys.executable, "-m", "celery", "--app", "workers.app", "worker", "--beat"]
        command += ["--schedule", str(self.folder / "schedule"), "--pool", "threads"]
        command += ["--concurrency", WORKER_THREADS, "--queues", ",".join(QUEUES), "--loglevel", "INFO"]
        command += ["--without-gossip", "--without-mingle"]
        with self._log.open("ab") as log:
            worker = subprocess.Popen(
                command,
                cwd=PROJECT_ROOT,
                env={
                    **os.environ,
                    "DATABASE_URL": url,
                    "REDIS_URL": settings.REDIS_URL,
                    "EVALUATION_DATA": "demonstration",
                    "EVALUATION_PRECISION": "fp32",
                    "EVALUATION_LEASE_SECONDS": "3",
                    "EVALUATION_LIMIT": "24",
                    **environment,
                },
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._running.append(worker)
        return worker

    @property
    def _log(self) -> Path:
        return self.folder / "worker.log"


@pytest.fixture
def start_worker(transactional_db: None, tmp_path: Path) -> Iterator[Start]:
    """Start workers of the test's own: where they are killed, or need settings of their own."""
    with Workers(tmp_path) as workers:
        yield workers.start


@pytest.fixture(scope="module")
def one_worker(django_db_setup: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Worker]:
    with Workers(tmp_path_factory.mktemp("worker")) as workers:
        secrets = {"SECRET_KEY": "do not tell", "HF_TOKEN": "hf_secret", "EMAIL_PASSWORD": "hidden"}
        yield workers.start(EVALUATION_LIMIT="", **secrets)


@pytest.fixture
def worker(one_worker: Worker, transactional_db: None) -> Iterator[Worker]:
    """A worker that a module's tests share, for what does not harm it; it is idle when the test is over."""
    yield one_worker
    assert one_worker.poll() is None
    unfinished = Evaluation.objects.filter(finished_at=None)
    wait_until(lambda: not unfinished.exists(), "an idle worker")


def wait_until(happened: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while not happened():
        assert time.monotonic() < deadline, f"waited {PATIENCE} s for: {what}"
        time.sleep(0.1)


def adapter_config(folder: Path) -> bytes:
    """The adapter's config as somebody who trained from the hub would have it."""
    config = json.loads((folder / "adapter_config.json").read_text())
    return json.dumps({**config, "base_model_name_or_path": HUB_ID}).encode()
