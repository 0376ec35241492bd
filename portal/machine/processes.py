"""Runs web server, worker and scheduler on one machine: started, kept running and stopped together."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from urllib.parse import urlsplit

import httpx
from django.conf import settings
from django.core.management.base import CommandError

from evaluation.parent import end_with_parent
from portal.environment import read_environment
from portal.machine import embedded
from portal.machine.daemons import ServiceError
from portal.queues import QUEUES

# A worker that is told to stop gives its evaluation back to the queue within seconds.
STOP_SECONDS = 20.0
# A process that lived for less than this has something wrong with it that starting again at once won't mend.
STABLE_SECONDS = 10.0
# Between two starts of what keeps ending: the pause doubles from the first to the last of these.
FIRST_PAUSE_SECONDS, LAST_PAUSE_SECONDS = 1.0, 60.0
# Importing the site on a machine whose cores others share.
READY_SECONDS = 180.0

# One thread evaluates, one trains, two fetch from the hub, one delivers notifications, one writes the nightly
# dump: each of these bounds itself or comes alone, and so leaves a thread to what is short, like returning
# the work of the dead to the queue.
WORKER_THREADS = "7"

_STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class StopRequested(BaseException):
    """Ctrl-C or SIGTERM; a BaseException so that nothing on the way takes it for an error."""


@dataclass
class Retry:
    """When something that ended is started again: at once, and after growing pauses where it ends early."""

    started: float = 0.0
    due: float | None = None
    _pause: float = 0.0

    def ended(self) -> float:
        """Note that it ended; returns the pause in seconds."""
        early = time.monotonic() - self.started < STABLE_SECONDS
        self._pause = min(max(FIRST_PAUSE_SECONDS, 2 * self._pause), LAST_PAUSE_SECONDS) if early else 0.0
        self.due = time.monotonic() + self._pause
        return self._pause

    @property
    def is_due(self) -> bool:
        return self.due is not None and time.monotonic() >= self.due

    def begins(self) -> None:
        self.started, self.due = time.monotonic(), None


@dataclass
class Site:
    """The processes of one site, and the embedded servers that it uses. `say` tells an operator one line.

    Use as a context manager: leaving it stops the processes. The servers are stopped by who started them.
    """

    host: str
    port: int
    environment: Mapping[str, str]
    say: Callable[[str], None]
    _commands: dict[str, list[str]] = field(default_factory=dict)
    _running: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    _retries: dict[str, Retry] = field(default_factory=dict)

    @property
    def url(self) -> str:
        return f"http://{address(self.host, self.port)}"

    def __enter__(self) -> Site:
        for number in _STOPPING:
            signal.signal(number, _request_stop)
        try:
            for name, command in commands(self.host, self.port).items():
                self._commands[name] = command
                self._start(name)
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

    def wait_until_ready(self) -> None:
        """Return when the site answers. Raises CommandError where its web process ends first, or in time."""
        site = urlsplit(self.environment.get("SITE_URL", settings.SITE_URL)).netloc
        deadline = time.monotonic() + READY_SECONDS
        while time.monotonic() < deadline:
            self._require_web()
            self.check()
            try:
                answer = httpx.get(f"{self.url}/readyz", headers={"Host": site}, timeout=5)
                if answer.status_code == httpx.codes.OK:
                    return
            except httpx.TransportError:
                pass  # it does not listen yet
            time.sleep(0.2)
        logs = self._log("web").parent
        raise CommandError(f"the site did not become ready within {READY_SECONDS:.0f} s; its logs: {logs}")

    def _require_web(self) -> None:
        status, log = self._running["web"].poll(), self._log("web")
        if status is not None:
            raise CommandError(f"the web process ended with status {status}; its log {log}:\n{_tail(log)}")

    def wait(self) -> None:
        """Keep everything running; return never."""
        while True:
            self.check()
            time.sleep(0.5)

    def check(self) -> None:
        """Start again what has died: the embedded servers, then the processes, each after its pause."""
        self._check_servers()
        for name, process in list(self._running.items()):
            if process.poll() is None:
                continue
            retry = self._retries[name]
            if retry.due is None:
                self._tell(name, f"ended with status {process.returncode}", retry.ended(), self._log(name))
            if retry.is_due:
                self._start(name)

    def _check_servers(self) -> None:
        env = read_environment()
        for server in embedded.status(env.services_state):
            configured = env.database_url if server.name == "postgres" else env.redis_url
            if configured or server.pid is not None:
                continue
            retry = self._retries.setdefault(server.name, Retry())
            if retry.due is None:
                self._tell(server.name, "ended", retry.ended(), server.log)
            if not retry.is_due:
                continue
            retry.begins()
            try:
                embedded.ensure(server.name, env.services_state)
            except ServiceError as error:
                self.say(str(error).splitlines()[0])

    def _tell(self, name: str, what: str, pause: float, log: Path) -> None:
        when = f"in {pause:.0f} s" if pause else "now"
        self.say(f"{name} {what}; starting it again {when}. Its log: {log}")

    def _start(self, name: str) -> None:
        self._retries.setdefault(name, Retry()).begins()
        log = self._log(name)
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("ab") as output:
            self._running[name] = subprocess.Popen(
                self._commands[name],
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


def commands(host: str, port: int) -> dict[str, list[str]]:
    """The site's processes by name, in the order in which they start."""
    celery = [sys.executable, "-m", "celery", "--app", "workers.app", "--quiet"]
    worker = ["worker", "--queues", ",".join(QUEUES), "--pool", "threads", "--concurrency", WORKER_THREADS]
    return {
        "web": web_command(host, port),
        "worker": [*celery, *worker, "--loglevel", "WARNING", "--without-gossip", "--without-mingle"],
        "scheduler": [*celery, "beat", "--loglevel", "WARNING", "--pidfile="],
    }


def web_command(host: str, port: int) -> list[str]:
    """Return the command of the web server: one process with threads, so that a slow upload holds up nobody.

    UPLOAD_STREAMS bounds how many of the threads uploads may hold.
    """
    serve = [sys.executable, "-m", "gunicorn", "portal.wsgi", "--bind", address(host, port)]
    serve += ["--worker-class", "portal.machine.web_worker.PatientWorker", "--threads", "8"]
    # Longer than clients are told to wait, and than proxies keep a connection (60 s): they end it, not this
    # side while a request is on its way.
    serve += ["--keep-alive", "75"]
    return [*serve, "--timeout", "0", "--graceful-timeout", "5", "--log-level", "warning"]


def address(host: str, port: int) -> str:
    """As it stands in a URL, where an IPv6 address has brackets."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _request_stop(number: int, frame: FrameType | None) -> None:
    assert threading.current_thread() is threading.main_thread()
    raise StopRequested


def _tail(path: Path) -> str:
    return "\n".join(path.read_text(errors="replace").splitlines()[-15:])
