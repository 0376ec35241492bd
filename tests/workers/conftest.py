"""A real worker for tests: a tiny random model on disk, real services, and Celery in a process of its own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from django.conf import settings
from django.db import connection

from portal.accounts.models import User
from portal.environment import PROJECT_ROOT
from portal.machine.processes import WORKER_THREADS
from portal.queues import QUEUES
from portal.submissions.base_models import register_base_model
from portal.submissions.models import BaseModel
from tests.evaluation.conftest import make_adapter, make_tiny_llama
from tests.portal import factories
from tests.portal.conftest import quick_passwords

__all__ = ["quick_passwords"]

HUB_ID = "Example/Tiny-Random"


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


Start = Callable[..., subprocess.Popen[bytes]]


@pytest.fixture
def start_worker(transactional_db: None, tmp_path: Path) -> Iterator[Start]:
    """Start Celery workers on the tests' database and broker; all are killed at the end."""
    running: list[subprocess.Popen[bytes]] = []
    log = (tmp_path / "worker.log").open("ab")

    def start(**environment: str) -> subprocess.Popen[bytes]:
        socket = Path(str(connection.settings_dict["HOST"]))
        url = f"postgresql://{connection.settings_dict['USER']}@/{connection.settings_dict['NAME']}?host={socket}"
        command = [sys.executable, "-m", "celery", "--app", "workers.app", "worker", "--beat"]
        command += ["--schedule", str(tmp_path / "schedule"), "--pool", "threads"]
        command += ["--concurrency", WORKER_THREADS]
        command += [
            "--queues",
            ",".join(QUEUES),
            "--loglevel",
            "INFO",
            "--without-gossip",
            "--without-mingle",
        ]
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
                "OMP_NUM_THREADS": "1",
                **environment,
            },
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        running.append(worker)
        return worker

    yield start
    for worker in running:
        with suppress(ProcessLookupError):  # the scheduler in its group outlives a killed worker
            os.killpg(worker.pid, signal.SIGKILL)
        worker.wait()
    log.close()
    print((tmp_path / "worker.log").read_text(errors="replace")[-6000:])  # noqa: T201 -- shown when a test fails


def adapter_config(folder: Path) -> bytes:
    """The adapter's config as somebody who trained from the hub would have it."""
    config = json.loads((folder / "adapter_config.json").read_text())
    return json.dumps({**config, "base_model_name_or_path": HUB_ID}).encode()
