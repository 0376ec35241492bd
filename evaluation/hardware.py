"""What a process runs on, in words, for the record of a run."""

from __future__ import annotations

import torch

from evaluation import processor


def describe() -> str:
    """The accelerator's name, or the CPU's with the number of threads that torch uses."""
    if torch.cuda.is_available():
        return torch.cuda.get_device_name()
    return f"{processor.name()}, {torch.get_num_threads()} threads"


def gpu_uuid() -> str | None:
    """What the driver calls the GPU that torch computes on, None without one."""
    if not torch.cuda.is_available():
        return None
    return f"GPU-{torch.cuda.get_device_properties(torch.cuda.current_device()).uuid}"
