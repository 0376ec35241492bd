"""Supervises `python -m evaluation.server`, the child process in which models run.

The child gets a clean environment: no database, no broker, no token, no Django. A crash, an
out-of-memory kill or a CUDA error ends the child, never the worker; ending a run means killing the
child's process group, which surely frees the GPU's memory. The child stays warm between jobs, so a
base model is loaded once for many adapters.
"""

from __future__ import annotations

import json
import logging
import os
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Generator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from django.conf import settings

from evaluation.errors import EngineCrashError

logger = logging.getLogger(__name__)

# What the child may see of the worker's environment: paths, locale, threads and devices, nothing else.
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
    "CUDA_VISIBLE_DEVICES",
    "NVIDIA_VISIBLE_DEVICES",
)
TICK_SECONDS = 1.0
# Errors that lie in what was asked; after any other the child is not trusted any more.
HARMLESS_ERRORS = frozenset({"bad_job", "checkpoint", "data", "unknown_name"})


@dataclass(frozen=True)
class Job:
    """One evaluation as the child takes it; fields as `evaluation.server` documents them."""

    job: str
    model: str
    adapter: str | None
    benchmarks: list[str]
    protocol: int
    engine: str
    precision: str
    data: str
    limit: int | None
    output: str


class EvaluationProcess:
    """The child process, started at the first job and restarted after it ended."""

    def __init__(self) -> None:
        self._child: subprocess.Popen[bytes] | None = None
        self._selector = selectors.DefaultSelector()
        self._unread = b""
        self.loaded_base_model: int | None = None

    def run(self, job: Job, *, base_model: int) -> Generator[dict[str, Any] | None]:
        """Yield the job's events as they come, and None at every quiet second.

        The caller renews its lease at each step. Ends after a `done` or `error` event. Raises
        EngineCrashError when the child dies or is silent for EVALUATION_STALL_SECONDS. Closing the
        generator early kills the child: that is how a run is cancelled.
        """
        finished = False
        try:
            self._send(job)
            heard = time.monotonic()
            while not finished:
                event = self._next_event()
                if event is None:
                    if time.monotonic() - heard > settings.EVALUATION_STALL_SECONDS:
                        raise EngineCrashError(
                            f"The evaluation was silent for {settings.EVALUATION_STALL_SECONDS} seconds."
                        )
                else:
                    heard = time.monotonic()
                    if event.get("job") not in (None, job.job):
                        continue
                    finished = event["event"] in ("done", "error")
                if event and event["event"] == "done":
                    self.loaded_base_model = base_model
                elif event and event["event"] == "error" and event["code"] not in HARMLESS_ERRORS:
                    self.stop()  # a CUDA error, for one, spoils the process for every later job
                yield event
        finally:
            if not finished:
                self.stop()

    def stop(self) -> None:
        """Kill the child and everything it started. Idempotent."""
        self.loaded_base_model = None
        child, self._child = self._child, None
        if child is None:
            return
        assert child.stdin and child.stdout
        self._selector.unregister(child.stdout)
        try:
            os.killpg(child.pid, signal.SIGKILL)
        except ProcessLookupError:
            logger.debug("the evaluation process was gone already")
        child.wait()
        child.stdin.close()
        child.stdout.close()
        self._unread = b""

    def _start(self) -> subprocess.Popen[bytes]:
        environment = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
        home = settings.VAR_DIR / "child-home"
        home.mkdir(parents=True, exist_ok=True)
        environment |= {
            "HOME": str(home),
            "HF_HOME": str(home / "huggingface"),
            "HF_HUB_OFFLINE": "1",
            "TOKENIZERS_PARALLELISM": "false",
            # Threads that wait for others sleep: spinning ones slow down every process on the machine.
            "OMP_WAIT_POLICY": "PASSIVE",
            "PYTHONUNBUFFERED": "1",
            "PYTHONPATH": str(Path(__file__).resolve().parent.parent),
        }
        child = subprocess.Popen(
            [sys.executable, "-m", "evaluation.server"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,
            env=environment,
            cwd=home,
            start_new_session=True,
            close_fds=True,
        )
        assert child.stdout
        self._selector.register(child.stdout, selectors.EVENT_READ)
        self._child = child
        return child

    def _send(self, job: Job) -> None:
        if self._child is not None and self._child.poll() is not None:
            self.stop()
        child = self._child or self._start()
        assert child.stdin
        try:
            child.stdin.write(json.dumps(asdict(job)).encode() + b"\n")
            child.stdin.flush()
        except BrokenPipeError as error:
            raise EngineCrashError(self._obituary()) from error

    def _next_event(self) -> dict[str, Any] | None:
        """Return the next event, or None after a quiet tick."""
        deadline = time.monotonic() + TICK_SECONDS
        while b"\n" not in self._unread:
            remaining = deadline - time.monotonic()
            if remaining <= 0 or not self._selector.select(remaining):
                return None
            assert self._child and self._child.stdout
            chunk = os.read(self._child.stdout.fileno(), 1 << 16)
            if not chunk:
                raise EngineCrashError(self._obituary())
            self._unread += chunk
        line, _, self._unread = self._unread.partition(b"\n")
        event: dict[str, Any] = json.loads(line)
        return event

    def _obituary(self) -> str:
        assert self._child
        code = self._child.wait(timeout=30)
        if code == -signal.SIGKILL:
            return "The evaluation process was killed, most likely because the machine ran out of memory."
        if code < 0:
            return f"The evaluation process was ended by {signal.Signals(-code).name}."
        return f"The evaluation process ended unexpectedly with exit status {code}."
