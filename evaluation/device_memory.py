"""Whose memory it is that is lacking on a device: the work's own, or that of others who may let it go."""

from __future__ import annotations

import torch

from evaluation.errors import MemoryTakenError, OutOfMemoryError

# A CUDA context and the kernels of a process take some hundred MB beside what torch counts.
_OWN_OVERHEAD = 2 * 1024**3


def lacking(text: str) -> OutOfMemoryError:
    """The error of a device without memory; MemoryTakenError where other processes hold much of it."""
    return MemoryTakenError(text) if _held_by_others() > _OWN_OVERHEAD else OutOfMemoryError(text)


def _held_by_others() -> int:
    """Bytes on the current GPU that are not this process's; 0 without a GPU, where the system shares out."""
    if not torch.cuda.is_available():
        return 0
    free, total = torch.cuda.mem_get_info()
    return int(total - free) - torch.cuda.memory_reserved()
