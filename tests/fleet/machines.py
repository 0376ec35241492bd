"""Machines of a fleet: a namespace each for network, processes, folders and the name of the host."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from portal.environment import PROJECT_ROOT

NETWORK = "10.77.0"
HERE = f"{NETWORK}.254"
"""The address of the people: this process."""

_BRIDGE = "ft-net"
_NETNS = "ft-"


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True)


@dataclass
class Machine:
    """One machine, with a disk of its own in `folder`. `environment` is what its processes get."""

    name: str
    number: int
    folder: Path
    hidden: Sequence[Path]
    environment: Mapping[str, str] = field(default_factory=dict)
    _first: subprocess.Popen[str] | None = None

    @property
    def address(self) -> str:
        return f"{NETWORK}.{self.number}"

    @property
    def _link(self) -> str:
        return f"ft-{self.name}"

    def attach(self) -> None:
        """Lay its cable: one end here, on the bridge."""
        netns = _NETNS + self.name
        _ip("netns", "add", netns)
        _ip("link", "add", self._link, "type", "veth", "peer", "name", "eth0", "netns", netns)
        _ip("link", "set", self._link, "master", _BRIDGE, "up")
        _ip("-n", netns, "address", "add", f"{self.address}/24", "dev", "eth0")
        for device in ("lo", "eth0"):
            _ip("-n", netns, "link", "set", device, "up")

    def plug(self, *, in_: bool) -> None:
        """Pull the cable, or put it in again. Nobody is told: connections are silent, not closed."""
        _ip("link", "set", self._link, "up" if in_ else "down")

    def boot(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        command = ["ip", "netns", "exec", _NETNS + self.name]
        command += ["unshare", "--uts", "--pid", "--fork", "--kill-child", "--mount-proc"]
        command += [sys.executable, "-m", "tests.fleet.first_process", self.name, *map(str, self.hidden)]
        (self.folder / "tmp").mkdir(exist_ok=True)
        own = {
            "VAR_DIR": str(self.folder),
            "TMPDIR": str(self.folder / "tmp"),
            "HF_HOME": str(self.folder / "hub"),
        }
        self._first = subprocess.Popen(
            command,
            cwd=PROJECT_ROOT,
            env={**os.environ, **own, **self.environment},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def start(self, name: str, command: Sequence[str]) -> None:
        self._ask({"start": name, "command": list(command), "log": str(self._log(name))})

    def run(self, name: str, command: Sequence[str]) -> None:
        """To its end. Raises OSError where that is no good one."""
        if self._ask({"run": list(command), "log": str(self._log(name))})["status"]:
            raise OSError(f"{name} failed on {self.name}: {self._log(name).read_text()[-2000:]}")

    def end(self, name: str) -> int:
        """Tell a process to stop, as an upgrade does; returns its exit status."""
        return int(self._ask({"end": name})["status"])

    def ended(self) -> list[str]:
        """What ended although nobody told it to."""
        return list(self._ask({"ended": None})["ended"])

    def processes(self) -> list[psutil.Process]:
        assert self._first
        return psutil.Process(self._first.pid).children(recursive=True)

    def lose(self) -> None:
        """The power is gone: nothing on it says a last word, and its disk is what it was."""
        self.plug(in_=False)
        self.switch_off()

    def switch_off(self) -> None:
        if self._first is not None:
            self._first.kill()
            self._first.wait()
            self._first = None

    def _log(self, name: str) -> Path:
        logs = self.folder / "logs"
        logs.mkdir(exist_ok=True)
        return logs / f"{name}.log"

    def _ask(self, what: Mapping[str, Any]) -> dict[str, Any]:
        assert self._first and self._first.stdin and self._first.stdout
        print(json.dumps(what), file=self._first.stdin, flush=True)
        answer: dict[str, Any] = json.loads(self._first.stdout.readline())
        return answer


@dataclass
class Fleet:
    """Machines by name on one network. A context manager: leaving it switches all off and removes all."""

    folder: Path
    names: Sequence[str]
    machines: dict[str, Machine] = field(default_factory=dict)

    def __enter__(self) -> Fleet:
        self.remove()
        _ip("link", "add", _BRIDGE, "type", "bridge")
        _ip("address", "add", f"{HERE}/24", "dev", _BRIDGE)
        _ip("link", "set", _BRIDGE, "up")
        folders = {name: self.folder / name for name in self.names}
        for folder in folders.values():
            folder.mkdir(parents=True)
        for number, name in enumerate(self.names, 1):
            hidden = [folder for other, folder in folders.items() if other != name]
            self.machines[name] = Machine(name, number, folders[name], hidden)
            self.machines[name].attach()
        return self

    def __exit__(self, *_: object) -> None:
        for machine in self.machines.values():
            machine.switch_off()
        self.remove()

    def remove(self) -> None:
        """Also what a run that was killed left behind."""
        for name in self.names:
            for words in (("link", "delete", f"ft-{name}"), ("netns", "delete", _NETNS + name)):
                subprocess.run(["ip", *words], capture_output=True, check=False)
        subprocess.run(["ip", "link", "delete", _BRIDGE], capture_output=True, check=False)


def is_possible() -> str:
    """Why a fleet cannot be run here; "" where it can."""
    if os.geteuid() != 0:
        return "only root may make network namespaces"
    missing = [program for program in ("ip", "unshare", "mount") if shutil.which(program) is None]
    return f"needs {', '.join(missing)}" if missing else ""
