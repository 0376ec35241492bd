"""Child processes that do a worker's heavy work and report it in lines.

A child gets a clean environment: no database, no broker, no token, no Django. A crash, an out-of-memory
kill or a CUDA error ends the child, never the worker; ending it kills everything that it started, which
surely frees the GPU's memory.
"""

from __future__ import annotations

import logging
import os
import selectors
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Sequence
from pathlib import Path

import psutil
from django.conf import settings

from evaluation import gpus, memory_kills
from evaluation.errors import EngineCrashError, EvaluationError, MemoryTakenError
from evaluation.log_lines import FORMAT_VARIABLE

logger = logging.getLogger(__name__)

# What a child may see of the worker's environment: paths, locale, threads, devices and the form of the log.
PASSED_ON = (
    "PATH",
    "LANG",
    "LC_ALL",
    "TZ",
    "TMPDIR",
    "LD_LIBRARY_PATH",
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "CUDA_HOME",
    "CUDA_DEVICE_ORDER",
    "CUDA_VISIBLE_DEVICES",
    "NVIDIA_VISIBLE_DEVICES",
    FORMAT_VARIABLE,
)
TICK_SECONDS = 1.0
_FAMILY = "FLOWERTUNE_FAMILY"  # in the environment of a child and of all that come from it


class Child:
    """`python -m MODULE ARGUMENTS…` in a process group of its own; `name` is what errors call it.

    `devices` are the GPUs that it is given, as CUDA_VISIBLE_DEVICES lists them; without, all of the worker's.
    """

    def __init__(self, name: str, module: str, arguments: Sequence[str] = (), *, devices: str = "") -> None:
        self.name = name
        self._unread = b""
        self._family = uuid.uuid4().hex
        self._memory_kills = memory_kills.count()
        home = settings.VAR_DIR / "child-home"
        home.mkdir(parents=True, exist_ok=True)
        self._process = subprocess.Popen(
            [sys.executable, "-m", module, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,
            env=_environment(home, devices) | {_FAMILY: self._family},
            cwd=home,
            start_new_session=True,
            close_fds=True,
        )
        assert self._process.stdout
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._process.stdout, selectors.EVENT_READ)

    @property
    def is_running(self) -> bool:
        return self._process.poll() is None

    def lower_priority(self, niceness: int) -> None:
        """Let others on this machine go first. What the child starts from now on inherits it."""
        psutil.Process(self._process.pid).nice(niceness)

    def send(self, line: str) -> None:
        """Write one line to the child. Raises as `next_line` does when it is gone."""
        assert self._process.stdin
        try:
            self._process.stdin.write(line.encode() + b"\n")
            self._process.stdin.flush()
        except BrokenPipeError as error:
            raise self._obituary() from error

    def next_line(self) -> bytes | None:
        """Return the next line, or None after a quiet tick.

        When the child ended: raises MemoryTakenError where the system had no memory for it, else
        EngineCrashError.
        """
        deadline = time.monotonic() + TICK_SECONDS
        while b"\n" not in self._unread:
            remaining = deadline - time.monotonic()
            if remaining <= 0 or not self._selector.select(remaining):
                return None
            assert self._process.stdout
            chunk = os.read(self._process.stdout.fileno(), 1 << 16)
            if not chunk:
                raise self._obituary()
            self._unread += chunk
        line, _, self._unread = self._unread.partition(b"\n")
        return line

    def stop(self, *, grace: float = 0) -> None:
        """End the child and everything that came from it; asked to stop it has `grace` seconds for that."""
        if grace and self.is_running:
            self._process.terminate()
            try:
                self._process.wait(grace)
            except subprocess.TimeoutExpired:
                logger.warning("the %s process did not end in %g seconds", self.name, grace)
        try:
            os.killpg(self._process.pid, signal.SIGKILL)
        except ProcessLookupError:
            logger.debug("the %s process was gone already", self.name)
        self._kill_family()
        self._process.wait()
        self._selector.close()
        assert self._process.stdin and self._process.stdout
        self._process.stdin.close()
        self._process.stdout.close()

    def _kill_family(self) -> None:
        """Kill what left the process group, as the processes of Ray do."""
        for process in psutil.process_iter():
            try:
                if process.environ().get(_FAMILY) == self._family:
                    process.kill()
            except (psutil.NoSuchProcess, psutil.AccessDenied):
                continue  # ended at this moment, or somebody else's

    def _obituary(self) -> EvaluationError:
        code = self._process.wait(timeout=30)
        if code == -signal.SIGKILL:
            if memory_kills.happened_since(self._memory_kills):
                return MemoryTakenError(
                    f"The {self.name} process was killed because the machine's memory ran out."
                )
            return EngineCrashError(f"The {self.name} process was killed.")
        if code < 0:
            return EngineCrashError(f"The {self.name} process was ended by {signal.Signals(-code).name}.")
        return EngineCrashError(f"The {self.name} process ended unexpectedly with exit status {code}.")


def _environment(home: Path, devices: str) -> dict[str, str]:
    passed_on = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
    if devices:
        passed_on["CUDA_VISIBLE_DEVICES"] = devices
    return (
        gpus.ORDER
        | passed_on
        | {
            "HOME": str(home),
            "HF_HOME": str(home / "huggingface"),
            "HF_HUB_OFFLINE": "1",
            "TOKENIZERS_PARALLELISM": "false",
            # Threads that wait for others sleep: spinning ones slow down every process on the machine.
            "OMP_WAIT_POLICY": "PASSIVE",
            "PYTHONUNBUFFERED": "1",
            "PYTHONPATH": str(Path(__file__).resolve().parent.parent),
        }
    )
