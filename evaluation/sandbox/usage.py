"""What the processes of a box take, read from /proc of the host."""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from pathlib import Path

from evaluation.errors import SandboxError

_PAGE = os.sysconf("SC_PAGE_SIZE")
# R runs or waits for a core, D waits for a disk.
_RUNNING = ("R", "D")


@dataclass(frozen=True)
class Usage:
    """What a process and all its descendants take; `running` as opposed to waiting for something.

    Memory is what is resident or swapped out, and the tables that map it.
    """

    memory_bytes: int
    threads: int
    running: bool


def of(init: int) -> Usage:
    """That of a process and its descendants."""
    memory = threads = 0
    running = False
    waiting = [init]
    while waiting:
        process = Path("/proc", str(waiting.pop()))
        # Processes end while they are looked at.
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            status = _status(process)
            if "VmRSS" not in status:
                status |= _of_another_thread(process)
            memory += sum(_kilobytes(status, name) for name in ("VmRSS", "VmSwap", "VmPTE")) * 1024
            threads += int(status["Threads"])
            running = running or _running(process)
            waiting += map(int, (process / "task" / process.name / "children").read_text().split())
    return Usage(memory, threads, running)


def files(init: int, size: int) -> int:
    """How many files the box's /tmp of `size` bytes holds.

    Raises SandboxError where it may not be looked at, as each takes memory that nothing else need count.
    """
    try:
        system = os.statvfs(f"/proc/{init}/root/tmp")
    except PermissionError as error:
        raise SandboxError(f"the files of a program cannot be watched: {error}") from error
    except OSError:  # not set up yet, or gone
        return 0
    # Before bubblewrap has set it up, this is the host's /tmp.
    set_up = system.f_blocks * system.f_frsize < size + _PAGE
    return system.f_files - system.f_ffree if set_up else 0


def _status(process: Path) -> dict[str, str]:
    text = (process / "status").read_text(encoding="ascii", errors="replace")
    return dict(line.partition(":")[::2] for line in text.splitlines())


def _of_another_thread(process: Path) -> dict[str, str]:
    """The status of a thread that shows its memory, as the first one does not once it has ended."""
    for task in (process / "task").iterdir():
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            if "VmRSS" in (status := _status(task)):
                return status
    return {}


def _kilobytes(status: dict[str, str], name: str) -> int:
    """Zero for a process that has ended, and has no memory."""
    return int(status.get(name, "0 kB").split()[0])


def _running(process: Path) -> bool:
    for task in (process / "task").iterdir():
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            stat = (task / "stat").read_text(encoding="ascii", errors="replace")
            if stat.rpartition(")")[2].split()[0] in _RUNNING:  # the name before it may hold anything
                return True
    return False
