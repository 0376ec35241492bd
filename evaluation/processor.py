"""What the processor of this machine is called."""

from __future__ import annotations

import functools
import platform
from pathlib import Path


@functools.cache
def name() -> str:
    """By its maker; its architecture where the system tells no more."""
    information = Path("/proc/cpuinfo")
    if information.is_file():
        for line in information.read_text(encoding="utf-8").splitlines():
            key, _, value = line.partition(":")
            if key.strip() == "model name":
                return value.strip()
    return platform.processor() or platform.machine()
