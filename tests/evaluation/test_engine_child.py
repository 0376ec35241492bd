"""The process of an engine: a clean environment, errors that mean something, and no leftovers."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from evaluation.engines.child import Child
from evaluation.errors import CheckpointError, EngineCrashError

MODULE = "tests.evaluation.talking_child"
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def child() -> Iterator[Child]:
    child = Child(MODULE, {"ADDED": "1"})
    yield child
    child.end()


def gone(pid: int) -> bool:
    """Whether a process ends within a minute; one that is dead but not waited for has ended."""
    for _ in range(600):
        try:
            if psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
                return True
        except psutil.NoSuchProcess:
            return True
        time.sleep(0.1)
    return False


def test_it_sees_nothing_of_the_environment_but_paths_threads_and_devices(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HF_TOKEN", "secret")
    monkeypatch.setenv("DATABASE_URL", "postgres://secret")
    child = Child(MODULE, {"ADDED": "1"})
    told = child.ask({"do": "tell"})
    child.end()
    assert told["environment"]["ADDED"] == "1"
    assert "secret" not in str(told["environment"])
    assert not Path(told["folder"]).exists(), "its temporary files go with it"


def test_an_error_in_it_is_raised_here_and_it_goes_on(child: Child) -> None:
    with pytest.raises(CheckpointError, match="it does not fit"):
        child.ask({"do": "refuse"})
    assert child.ask({"do": "tell"})


def test_when_it_breaks_off_its_last_words_are_told(child: Child) -> None:
    with pytest.raises(EngineCrashError, match="status 3: the last word"):
        child.ask({"do": "break off"})


def test_when_it_is_killed_that_is_said(child: Child) -> None:
    os.kill(child.pid, signal.SIGKILL)
    with pytest.raises(EngineCrashError, match="was killed"):
        child.ask({"do": "tell"})


def test_ending_it_ends_what_it_started(child: Child) -> None:
    started = child.ask({"do": "start"})["pid"]
    child.end()
    assert gone(child.pid)
    assert gone(started)


def test_it_outlives_no_parent_however_that_dies() -> None:
    program = (
        "import os, signal, sys\n"
        "from evaluation.engines.child import Child\n"
        f"child = Child({MODULE!r}, {{}})\n"
        "print(child.pid, child.ask({'do': 'start'})['pid'], flush=True)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    parent = subprocess.run([sys.executable, "-c", program], cwd=ROOT, stdout=subprocess.PIPE, check=False)
    assert parent.returncode == -signal.SIGKILL
    child, started = map(int, parent.stdout.split())
    assert gone(child)
    assert gone(started)
