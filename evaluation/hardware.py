"""What a process runs on, in words, for the record of a run."""

from __future__ import annotations

import platform
from pathlib import Path

import torch


def describe() -> str:
    """The accelerator's name, or the CPU's with the number of threads that torch uses."""
    if torch.cuda.is_available():
        return torch.cuda.get_device_name()
    return f"{_cpu()}, {torch.get_num_threads()} threads"


def gpu_uuid() -> str | None:
    """What the driver calls the GPU that torch computes on, None without one."""
    if not torch.cuda.is_available():
        return None
    return f"GPU-{torch.cuda.get_device_properties(torch.cuda.current_device()).uuid}"


def _cpu() -> str:
    information = Path("/proc/cpuinfo")
    if information.is_file():
        for line in information.read_text().splitlines():
            key, _, value = line.partition(":")
            if key.strip() == "model name":
                return value.strip()
    return platform.processor() or platform.machine()
