"""A control group for each box, where this process may make some: the kernel then holds memory to a limit.

It charges all that a box makes it take: private and shared pages, mapped or not, page tables, files in
memory, what waits in pipes, and swap. See cgroups(7); version 2 is preferred to version 1.
"""

from __future__ import annotations

import contextlib
import functools
import itertools
import logging
import os
import re
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

_LOG = logging.getLogger(__name__)

_PREFIX = "flowertune-box-"
_NUMBERS = itertools.count()
# An ended process leaves its group a moment after its end is known.
_PATIENCE_SECONDS = 2.0
_PAUSE_SECONDS = 0.01
# The kernel charges several pages at a time, and the last charge is the one that it refuses.
_LAST_CHARGE_BYTES = 1 << 20
_SELF = Path("/proc/self")


@dataclass(frozen=True)
class Hierarchy:
    """Where boxes get their groups: `memory` and, if it may be used, `pids` hold one of each box."""

    version: int
    memory: Path
    pids: Path | None

    @property
    def folders(self) -> tuple[Path, ...]:
        return tuple(dict.fromkeys(folder for folder in (self.memory, self.pids) if folder))


class Group:
    """One box's groups; without a hierarchy it holds nothing, and nothing happens in it."""

    def __init__(self, hierarchy: Hierarchy | None, name: str) -> None:
        self._hierarchy = hierarchy
        self._name = name

    def add(self, process: int) -> None:
        """Put a process into it, and what that starts from now on. Raises OSError where it is gone."""
        for folder in self._folders():
            (folder / "cgroup.procs").write_text(str(process))

    @property
    def killed(self) -> bool:
        """Whether the kernel has ended a process of it for want of memory, the group's or the machine's."""
        if self._hierarchy is None:
            return False
        record = "memory.events" if self._hierarchy.version == 2 else "memory.oom_control"
        return self._count(record, "oom_kill") > 0

    @property
    def full(self) -> bool:
        """Whether it has been at its limit."""
        if self._hierarchy is None:
            return False
        if self._hierarchy.version == 2:
            return self._count("memory.events", "oom") > 0
        folder = self._hierarchy.memory / self._name
        limit = int((folder / "memory.limit_in_bytes").read_text())
        most = max(int(record.read_text()) for record in folder.glob("memory*.max_usage_in_bytes"))
        return most > limit - _LAST_CHARGE_BYTES

    def _count(self, record: str, name: str) -> int:
        assert self._hierarchy is not None
        for line in (self._hierarchy.memory / self._name / record).read_text().splitlines():
            key, _, value = line.partition(" ")
            if key == name:
                return int(value)
        return 0

    def _folders(self) -> list[Path]:
        return [folder / self._name for folder in self._hierarchy.folders] if self._hierarchy else []

    def make(self, memory_bytes: int, processes: int) -> None:
        """Raises OSError where it cannot be made."""
        for folder in self._folders():
            folder.mkdir()
        if self._hierarchy is None:
            return
        memory = self._hierarchy.memory / self._name
        if self._hierarchy.version == 2:
            (memory / "memory.max").write_text(str(memory_bytes))
            _write_where_known(memory / "memory.swap.max", "0")
        else:
            (memory / "memory.limit_in_bytes").write_text(str(memory_bytes))
            (memory / "memory.swappiness").write_text("0")
            _write_where_known(memory / "memory.memsw.limit_in_bytes", str(memory_bytes))
        if self._hierarchy.pids:
            (self._hierarchy.pids / self._name / "pids.max").write_text(str(processes))

    def remove(self) -> None:
        """To be called once its processes have ended."""
        deadline = time.monotonic() + _PATIENCE_SECONDS
        for folder in self._folders():
            while not _removed(folder) and time.monotonic() < deadline:
                time.sleep(_PAUSE_SECONDS)
            if folder.exists():
                _LOG.warning("the control group %s is left over until the next start", folder)


@contextlib.contextmanager
def group(memory_bytes: int, processes: int) -> Iterator[Group]:
    """A group with these limits, which is removed at the end. Raises OSError where it cannot be made."""
    made = Group(hierarchy(), f"{_PREFIX}{os.getpid()}-{next(_NUMBERS)}")
    try:
        made.make(memory_bytes, processes)
        yield made
    finally:
        made.remove()


@functools.cache
def hierarchy() -> Hierarchy | None:
    """Where boxes of this process get their groups; None where they get none. Removes what others left."""
    for candidate in _candidates(
        own_folders((_SELF / "mountinfo").read_text(), (_SELF / "cgroup").read_text())
    ):
        tried = Group(candidate, f"{_PREFIX}{os.getpid()}-{next(_NUMBERS)}")
        try:
            if candidate.version == 2:
                _enable(candidate.memory)
            tried.make(1 << 30, 64)
        except OSError as error:
            _LOG.debug("no control groups for programs in %s: %s", candidate.memory, error)
        else:
            _sweep(candidate)
            return candidate
        finally:
            tried.remove()
    return None


def memory_measure() -> str:
    """What holds programs to their memory here."""
    found = hierarchy()
    if found is None:
        return "resource limits, watched"
    return f"control groups, version {found.version}"


def _candidates(own: Mapping[str, Path]) -> Iterator[Hierarchy]:
    """Version 2 lets no group have both processes and groups with limits, the root excepted.

    So boxes go beside this process's group where the one above them is ours (systemd's Delegate= with
    DelegateSubgroup=), or below it in the root.
    """
    if unified := own.get("unified"):
        for folder in (unified.parent, unified):
            if (folder / "cgroup.subtree_control").exists():
                yield Hierarchy(2, folder, folder)
    if memory := own.get("memory"):
        if pids := own.get("pids"):
            yield Hierarchy(1, memory, pids)
        yield Hierarchy(1, memory, None)


def own_folders(mountinfo: str, membership: str) -> dict[str, Path]:
    """The folder of this process's group in each hierarchy that is mounted, by its controller's name."""
    paths: dict[str, str] = {}
    for line in membership.splitlines():
        _, controllers, path = line.split(":", 2)
        for name in controllers.split(",") if controllers else ["unified"]:
            paths[name] = path
    found = {}
    for line in mountinfo.splitlines():
        before, _, after = line.partition(" - ")
        root, point = before.split()[3:5]
        kind, _, options = after.split(" ", 2)
        names = ["unified"] if kind == "cgroup2" else options.split(",") if kind == "cgroup" else []
        for name in names:
            if (own := paths.get(name)) and Path(own).is_relative_to(root):
                found[name] = Path(point, Path(own).relative_to(root))
    return found


def _enable(folder: Path) -> None:
    """Let groups in this folder have limits on memory and processes."""
    control = folder / "cgroup.subtree_control"
    missing = {"memory", "pids"} - set(control.read_text().split())
    if missing:
        control.write_text(" ".join(f"+{name}" for name in sorted(missing)))


def _sweep(place: Hierarchy) -> None:
    """Remove the groups of processes that have ended without doing so."""
    for folder in place.folders:
        for left in folder.glob(f"{_PREFIX}*"):
            owner = re.match(r"\d+", left.name.removeprefix(_PREFIX))
            if owner and not Path("/proc", owner[0]).exists():
                _removed(left)


def _removed(folder: Path) -> bool:
    try:
        folder.rmdir()
    except FileNotFoundError:
        return True
    except OSError:  # a process is still in it
        return False
    return True


def _write_where_known(file: Path, text: str) -> None:
    """Kernels that do not count swap lack its files."""
    if file.exists():
        file.write_text(text)
