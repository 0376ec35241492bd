"""Ties a process's life to that of the process that started it."""

from __future__ import annotations

import ctypes
import signal
import sys

_PR_SET_PDEATHSIG = 1  # of prctl(2)


def end_with_parent() -> None:
    """Ask the kernel for SIGTERM when this program's parent dies, however it dies (Linux; else nothing).

    The parent is the thread that started this process: it must live as long as the parent does.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
