"""What the tests of the sandbox need: system programs, and something to attack."""

from __future__ import annotations

import ctypes
import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from evaluation.sandbox import Language
from tests.evaluation.sandbox.hostile import Site

_PROGRAMS = {Language.PYTHON: (), Language.JAVASCRIPT: ("node",), Language.CPP: ("g++",)}
_PR_SET_CHILD_SUBREAPER = 36


def need(*languages: Language) -> None:
    """Skip a test where a system program is missing; where CI is set, fail it."""
    wanted = (
        "bwrap",
        "prlimit",
        "setpriv",
        *(program for language in languages for program in _PROGRAMS[language]),
    )
    missing = [program for program in wanted if shutil.which(program) is None]
    if missing:
        reason = f"needs {', '.join(missing)}"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)


@pytest.fixture
def python() -> None:
    need(Language.PYTHON)


@pytest.fixture
def javascript() -> None:
    need(Language.JAVASCRIPT)


@pytest.fixture
def cpp() -> None:
    need(Language.CPP)


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """A file, a variable, a port and a process of the host; all of them are found unharmed afterwards."""
    secret = "the secret of the host"
    canary = tmp_path / "host" / "canary.txt"
    canary.parent.mkdir()
    canary.write_text(secret, encoding="utf-8")
    before = canary.stat()
    monkeypatch.setenv("SANDBOX_SECRET", secret)
    with (
        closing(socket.create_server(("127.0.0.1", 0))) as server,
        subprocess.Popen(["sleep", "1000"]) as victim,
    ):
        port = server.getsockname()[1]
        yield Site(canary, secret, port, victim.pid, "SANDBOX_SECRET")
        assert victim.poll() is None
        victim.kill()
        server.setblocking(False)
        with pytest.raises(BlockingIOError):  # nobody has connected
            server.accept()
    assert canary.read_text(encoding="utf-8") == secret
    after = canary.stat()
    assert (after.st_mtime_ns, after.st_mode, after.st_nlink) == (before.st_mtime_ns, before.st_mode, 1)
    assert [path.name for path in tmp_path.rglob("*")] == ["host", "canary.txt"]


@pytest.fixture
def no_leftovers() -> Iterator[None]:
    """Orphans become children of this process, and at the end it has no new ones."""
    libc = ctypes.CDLL(None)
    assert libc.prctl(_PR_SET_CHILD_SUBREAPER, 1) == 0
    before = children()
    yield
    libc.prctl(_PR_SET_CHILD_SUBREAPER, 0)
    left = children() - before
    assert {pid: Path("/proc", str(pid), "cmdline").read_bytes()[:300] for pid in left} == {}


def children() -> set[int]:
    """The living processes that this one started or, as a subreaper, inherited."""
    tasks = Path("/proc/self/task").glob("*/children")
    pids = {int(pid) for task in tasks for pid in task.read_text(encoding="ascii").split()}
    return {pid for pid in pids if ") Z " not in Path("/proc", str(pid), "stat").read_text(encoding="ascii")}
