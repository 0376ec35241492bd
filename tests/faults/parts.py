"""A whole site on this machine: services behind proxies, disks of its own, and its processes kept running."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any
from unittest.mock import patch

import psutil
from django.core.management import call_command

from portal.addresses import POSTGRES_SOCKET, VALKEY_SOCKET
from portal.machine import embedded, processes
from portal.machine.processes import Site
from portal.queues import QUEUES
from portal.runs.models import BaselineRun, Evaluation
from tests.faults.proxy import Proxy
from tests.workers.receiver import Receiver

WORKERS = ("worker-1", "worker-2")
DISK_MEGABYTES = 160
STORAGE_MEGABYTES = 64
_CELERY = ["celery", "--app", "workers.app", "--quiet"]
_CHILDREN = ("tests.workers.scripted_evaluation", "tests.faults.trainer")


class Parts:
    """What a fault may strike. Made by `running`."""

    def __init__(self, var: Path, services: Path, hub: Any, receiver: Receiver) -> None:
        self.var, self.services, self.hub, self.receiver = var, services, hub, receiver
        sockets = (services / "sockets").resolve()
        self.database = Proxy(sockets / POSTGRES_SOCKET)
        self.broker = Proxy(sockets / VALKEY_SOCKET)
        self.hub_proxy = Proxy(("127.0.0.1", hub.port))
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port: int = free.getsockname()[1]
        self.site = Site("127.0.0.1", self.port, self.environment(), self.say)
        self.said: list[str] = []

    def environment(self) -> dict[str, str]:
        return {
            "DATABASE_URL": f"postgresql://flowertune@127.0.0.1:{self.database.port}/flowertune",
            "REDIS_URL": f"redis://127.0.0.1:{self.broker.port}",
            "SITE_URL": f"http://127.0.0.1:{self.port}",
            "HF_ENDPOINT": f"http://127.0.0.1:{self.hub_proxy.port}",
        }

    def say(self, line: str) -> None:
        self.said.append(line)

    @property
    def url(self) -> str:
        return self.site.url

    def kill(self, name: str, number: signal.Signals = signal.SIGKILL) -> None:
        """Send a signal to one of the site's processes, gunicorn's workers included."""
        with suppress(ProcessLookupError):
            os.killpg(self.site._running[name].pid, number)

    def names_at_work(self) -> list[str]:
        """The workers that hold a claim with a name on it; all where none is known."""
        holders = {
            holder.rpartition(":")[2]
            for model in (Evaluation, BaselineRun)
            for holder in model._default_manager.filter(status="running").values_list("worker", flat=True)
        }
        at_work = [name for name in WORKERS if str(self.site._running[name].pid) in holders]
        return at_work or list(WORKERS)

    def children(self) -> list[psutil.Process]:
        """Processes that evaluate or train for this site, wherever their parents are."""
        found = []
        for process in psutil.process_iter():
            with suppress(psutil.NoSuchProcess, psutil.AccessDenied):
                ours = process.environ().get("HOME") == str(self.var / "child-home")
                if (
                    ours
                    and process.status() != psutil.STATUS_ZOMBIE
                    and set(_CHILDREN) & set(process.cmdline())
                ):
                    found.append(process)
        return found

    def children_at_work(self) -> list[psutil.Process]:
        pids = {self.site._running[name].pid for name in self.names_at_work()}
        return [child for child in self.children() if child.ppid() in pids]

    def server(self, name: str, number: signal.Signals) -> None:
        """Signal an embedded server; the site's supervisor starts it again where that ends it."""
        found = next(status for status in embedded.status(self.services) if status.name == name)
        if found.pid is not None:
            os.kill(found.pid, number)

    def fill(self, *, full: bool) -> None:
        """Take all that is left of both disks, or give it back."""
        for folder in (self.var, self.var / "storage"):
            filler = folder / "filler"
            if not full:
                filler.unlink(missing_ok=True)
                continue
            with filler.open("wb", buffering=0) as file, suppress(OSError):
                while file.write(bytes(1 << 20)):
                    pass

    def remount(self, mode: str) -> None:
        """Make the storage's disk read-only ("ro"), as a kernel does after its error, or not ("rw")."""
        command = ["mount", "-o", f"remount,{mode}", str(self.var / "storage")]
        for _ in range(200):  # not while somebody writes
            if subprocess.run(command, capture_output=True, check=False).returncode == 0:
                return
            time.sleep(0.01)
        raise OSError(f"cannot remount {command[-1]}")

    def is_up(self) -> bool:
        running = all(process.poll() is None for process in self.site._running.values())
        return running and all(status.pid for status in embedded.status(self.services))


@contextmanager
def running(folder: Path, hub: Any) -> Iterator[Parts]:
    """A site with its services, in `folder`; all of it ends with the block. Needs the right to mount."""
    var, services = folder / "var", folder / "services"
    with ExitStack() as stack:
        for path, megabytes in ((var, DISK_MEGABYTES), (var / "storage", STORAGE_MEGABYTES)):
            path.mkdir()
            subprocess.run(
                ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(path)], check=True
            )
            stack.callback(subprocess.run, ["umount", "--lazy", str(path)], check=True)
        (var / "tmp").mkdir()
        embedded.ensure_postgres(services)
        embedded.ensure_valkey(services)
        stack.callback(embedded.stop, services)
        receiver = stack.enter_context(Receiver())
        _prepare()
        parts = Parts(var, services, hub, receiver)
        stack.enter_context(patch.object(processes, "commands", _commands))
        stack.enter_context(parts.site)
        parts.site.wait_until_ready()
        stop = threading.Event()
        keeper = threading.Thread(target=_keep, args=(parts.site, stop), name="supervisor")
        keeper.start()
        stack.callback(keeper.join)
        stack.callback(stop.set)
        stack.callback(parts.fill, full=False)
        yield parts


def _commands(host: str, port: int) -> dict[str, list[str]]:
    launch = [sys.executable, "-m", "tests.faults.launch", *_CELERY]
    worker = [*launch, "worker", "--queues", ",".join(QUEUES), "--pool", "threads", "--concurrency", "6"]
    worker += ["--loglevel", "INFO", "--without-gossip", "--without-mingle"]
    return {
        "web": processes.web_command(host, port),
        **{name: [*worker, "--hostname", f"{name}@faults"] for name in WORKERS},
        "scheduler": [*launch, "beat", "--loglevel", "WARNING", "--pidfile="],
    }


def _prepare() -> None:
    call_command("migrate", verbosity=0)
    call_command("collectstatic", interactive=False, verbosity=0)


def _keep(site: Site, stop: threading.Event) -> None:
    while not stop.wait(0.5):
        site.check()


def lay_ready(var: Path, files: dict[str, bytes], record: dict[str, Any]) -> None:
    """What the scripted trainer hands in as its result."""
    folder = var / "result"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for name, content in files.items():
        (folder / name).write_bytes(content)
    (folder / "training.json").write_text(json.dumps(record))
