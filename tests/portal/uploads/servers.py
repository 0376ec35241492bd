"""A web server in a process of its own, as `manage.py serve` starts it, on the database of this process."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from contextlib import closing
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path

from django.conf import settings
from django.db import connection

from portal.environment import PROJECT_ROOT
from portal.machine.processes import web_command

READY_SECONDS = 60


@dataclass
class WebServer:
    """Use as a context manager; its files lie under `folder`."""

    folder: Path
    port: int = 0
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def storage(self) -> Path:
        return self.folder / "storage"

    def __enter__(self) -> WebServer:
        self.port = self.port or _free_port()
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def start(self) -> None:
        database = connection.settings_dict
        address = f"postgresql://{database['USER']}@/{database['NAME']}?host={database['HOST']}"
        environment = {
            **os.environ,
            "DATABASE_URL": address,
            "REDIS_URL": settings.REDIS_URL,
            "VAR_DIR": str(self.folder),
            "HTTPS": "0",
            "SITE_URL": self.url,
        }
        with (self.folder / "web.log").open("ab") as log:
            self.process = subprocess.Popen(
                web_command("127.0.0.1", self.port),
                cwd=PROJECT_ROOT,
                env=environment,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self._wait()

    def kill(self) -> None:
        """End it as a crash does."""
        if self.process:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
            self.process = None

    def _wait(self) -> None:
        deadline = time.monotonic() + READY_SECONDS
        while True:
            try:
                with closing(HTTPConnection("127.0.0.1", self.port, timeout=5)) as connection:
                    connection.request("GET", "/healthz")
                    assert connection.getresponse().status == 200
                    return
            except (ConnectionError, TimeoutError):  # not up yet, or slow on a busy machine
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.1)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
