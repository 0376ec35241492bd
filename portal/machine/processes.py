"""Runs web server, worker and scheduler on one machine, started and stopped together."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

from django.conf import settings
from django.core.management.base import CommandError

from evaluation.parent import end_with_parent
from portal.queues import QUEUES

# A worker that is told to stop gives its evaluation back to the queue within seconds.
STOP_SECONDS = 20.0
# A process that lived for less than this has something wrong with it that starting again won't mend.
STABLE_SECONDS = 10.0

# One thread evaluates, one trains, two fetch from the hub, one delivers notifications: each of these bounds
# itself, and so leaves a thread to what is short, like returning the work of the dead to the queue.
WORKER_THREADS = "6"

logger = logging.getLogger(__name__)

_STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class StopRequested(BaseException):
    """Ctrl-C or SIGTERM; a BaseException so that nothing on the way takes it for an error."""


@dataclass
class Site:
    """The processes of one site. Use as a context manager: leaving it stops them all."""

    host: str
    port: int
    environment: Mapping[str, str] = field(default_factory=dict)
    _running: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    _started: dict[str, float] = field(default_factory=dict)

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.port}"

    def __enter__(self) -> Site:
        for number in _STOPPING:
            signal.signal(number, _request_stop)
        try:
            self._start_all()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        # A second Ctrl-C must not interrupt the stopping half-way.
        for number in _STOPPING:
            signal.signal(number, signal.SIG_IGN)
        for process in reversed(self._running.values()):
            if process.poll() is None:
                process.terminate()
        deadline = time.monotonic() + STOP_SECONDS
        for process in self._running.values():
            try:
                process.wait(max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()

    def wait(self) -> None:
        """Return never; raise CommandError when a process cannot be kept running."""
        while True:
            self.check()
            time.sleep(0.5)

    def check(self) -> None:
        """Start processes that died again. Raises CommandError for one that dies as soon as it starts."""
        for name, process in list(self._running.items()):
            if process.poll() is None:
                continue
            if time.monotonic() - self._started[name] < STABLE_SECONDS:
                raise CommandError(
                    f"the {name} process ended with status {process.returncode}; log {self._log(name)}:\n"
                    + _tail(self._log(name))
                )
            logger.warning("the %s process ended with status %s; starting it again", name, process.returncode)
            self._start(name, [str(word) for word in process.args])  # type: ignore[union-attr]

    def _start_all(self) -> None:
        python = [sys.executable, "-m"]
        celery = [*python, "celery", "--app", "workers.app", "--quiet"]
        self._start("web", web_command(self.host, self.port))
        worker = [
            "worker",
            "--queues",
            ",".join(QUEUES),
            "--pool",
            "threads",
            "--concurrency",
            WORKER_THREADS,
        ]
        self._start(
            "worker", [*celery, *worker, "--loglevel", "WARNING", "--without-gossip", "--without-mingle"]
        )
        self._start("scheduler", [*celery, "beat", "--loglevel", "WARNING", "--pidfile="])

    def _start(self, name: str, command: list[str]) -> None:
        self._started[name] = time.monotonic()
        log = self._log(name)
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("ab") as output:
            self._running[name] = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**os.environ, **self.environment},
                # Its own group: Ctrl-C reaches this process alone, which stops the others in order.
                start_new_session=True,
                preexec_fn=end_with_parent,
            )

    @staticmethod
    def _log(name: str) -> Path:
        return Path(settings.VAR_DIR) / "logs" / f"{name}.log"


def web_command(host: str, port: int) -> list[str]:
    """Return the command of the web server: one process with threads, so that a slow upload holds up nobody.

    UPLOAD_STREAMS bounds how many of the threads uploads may hold.
    """
    serve = [sys.executable, "-m", "gunicorn", "portal.wsgi", "--bind", f"{host}:{port}", "--threads", "8"]
    return [*serve, "--timeout", "0", "--graceful-timeout", "5", "--log-level", "warning"]


def _request_stop(number: int, frame: FrameType | None) -> None:
    assert threading.current_thread() is threading.main_thread()
    raise StopRequested


def _tail(path: Path) -> str:
    return "\n".join(path.read_text(errors="replace").splitlines()[-15:])
