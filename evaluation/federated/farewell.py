"""Ends the processes that a simulation started, however it ends itself.

Ray's processes are known by a folder that no other run has, in their environment or, where they wrote their
title over that, among their open files; being somebody's child would not do, as they lose their parent when
it ends first. A process that is killed cannot clean up after itself, and some of Ray's wait for minutes then:
a watcher beside it does, as soon as the pipe between them breaks.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import psutil

HOME = "FLWR_HOME"
_FAREWELL_SECONDS = 10.0


@contextmanager
def none_left(scratch: str) -> Iterator[None]:
    """Within this block processes may be started with `scratch` as their HOME; none outlives it."""
    watching = [sys.executable, "-m", __name__, scratch]
    # A session of its own, so that no signal to our group ends it.
    with subprocess.Popen(watching, stdin=subprocess.PIPE, start_new_session=True) as watcher:
        assert watcher.stdin
        try:
            yield
        finally:
            end_processes(scratch)
            watcher.stdin.write(b"done")


def end_processes(scratch: str) -> None:
    """Wait for the processes of a run to end and kill those that don't."""
    left = [process for process in psutil.process_iter() if _belongs(process, scratch)]
    _, alive = psutil.wait_procs(left, timeout=_FAREWELL_SECONDS)
    for process in alive:
        process.kill()
    psutil.wait_procs(alive, timeout=_FAREWELL_SECONDS)


def _belongs(process: psutil.Process, scratch: str) -> bool:
    try:
        if process.pid == os.getpid():
            return False
        if process.environ().get(HOME) == scratch:
            return True
        return any(file.path.startswith(f"{scratch}/") for file in process.open_files())
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return False


def _watch(scratch: str) -> None:
    if not sys.stdin.buffer.read():  # the other end broke off without a word
        end_processes(scratch)
        shutil.rmtree(scratch, ignore_errors=True)


if __name__ == "__main__":
    _watch(sys.argv[1])
