"""Waits for a test process to end, then ends what it started and removes its folder (see tests/own.py)."""

from __future__ import annotations

import shutil
import sys
from contextlib import suppress
from pathlib import Path

import psutil

from tests.own import MARK


def main(mark: str, state: str, var_dir: str) -> None:
    sys.stdin.buffer.read()
    # A process that is about to start another may need a second look.
    while marked := [process for process in psutil.process_iter() if _carries(process, mark)]:
        for process in marked:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs(marked, timeout=1)
    from portal.machine import embedded  # late: for most of its life this process should be small

    embedded.stop_unless_used(Path(state))
    shutil.rmtree(var_dir, ignore_errors=True)


def _carries(process: psutil.Process, mark: str) -> bool:
    try:
        return process.environ().get(MARK) == mark and process.status() != psutil.STATUS_ZOMBIE
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return False


if __name__ == "__main__":
    main(*sys.argv[1:])
