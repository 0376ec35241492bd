"""What one test process has to itself: a database, a broker number and a folder, whatever runs beside it.

All of it ends with the process, however that ends: a guardian (tests/guardian.py), which no signal to the
tests reaches, sees it go, ends what it started, and stops the services when no other test process uses them.
"""

from __future__ import annotations

import fcntl
import os
import secrets
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
STATE = ROOT / "var" / "test-services"
# Every program that a test process starts inherits it.
MARK = "FLOWERTUNE_TEST_PROCESS"
NUMBERS = 64  # of Valkey's databases


@dataclass(frozen=True)
class Own:
    """The belongings of this process; `number` is no other living test process's in this checkout."""

    number: int
    var_dir: Path
    guardian: subprocess.Popen[bytes]

    @property
    def database_name(self) -> str:
        return f"tests_{self.number}"

    def give_back(self) -> None:
        """Let the guardian do its work now, and wait until it has."""
        assert self.guardian.stdin is not None
        self.guardian.stdin.close()
        self.guardian.wait()


def take() -> Own:
    """Take a free number, make a folder, and start their guardian; mark what this process will start."""
    number, lock = _free_number()
    var_dir = Path(tempfile.mkdtemp(prefix="flowertune-tests-"))
    mark = secrets.token_hex(8)
    guardian = subprocess.Popen(
        [sys.executable, "-m", "tests.guardian", mark, str(STATE), str(var_dir)],
        cwd=ROOT,
        stdin=subprocess.PIPE,  # ends when this process does
        stdout=subprocess.DEVNULL,
        env={name: value for name, value in os.environ.items() if name != MARK},
        pass_fds=[lock],  # so that nobody takes the number before the guardian has cleared up
        start_new_session=True,
    )
    os.environ[MARK] = mark
    return Own(number, var_dir, guardian)


@contextmanager
def turn(name: str) -> Iterator[None]:
    """Let one test process of this checkout at a time do what has this name."""
    lock = os.open(STATE / f"{name}.turn", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)


def _free_number() -> tuple[int, int]:
    folder = STATE / "numbers"
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(NUMBERS):
        lock = os.open(folder / str(number), os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
        else:
            return number, lock
    raise RuntimeError(f"{NUMBERS} test processes run already in {ROOT}")
