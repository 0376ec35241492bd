"""A device's memory: what is free, what a model needs, and telling its end from other errors."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch

from evaluation.device_memory import lacking

# How the errors begin or what they hold that torch gives no type of their own.
_WORDS = ("DefaultCPUAllocator", "CUDA error: out of memory", "CUBLAS_STATUS_ALLOC_FAILED")


def is_out_of_memory(error: Exception) -> bool:
    """Whether the device, or torch's allocator on the CPU, had no memory left."""
    if isinstance(error, torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and any(words in str(error) for words in _WORDS)


@contextmanager
def memory_for(purpose: str) -> Iterator[None]:
    """Say what the device had no memory for."""
    try:
        yield
    except RuntimeError as error:
        if not is_out_of_memory(error):
            raise
        raise lacking(f"out of memory for {purpose}: {error}") from error


@dataclass(frozen=True)
class Needs:
    """About what a model takes besides its weights, in bytes.

    `kept` for each position of a row: its keys and values in all layers. `read` for each token that goes
    through the model: the widest activations of one layer, which are the MLP's three and four of the hidden
    size. `row` for the logits of a row's last position, as they are and in single precision.
    """

    kept: int
    read: int
    row: int

    @classmethod
    def of(cls, config: Any, dtype: torch.dtype) -> Needs:
        """From what a model's config says; kinds of models differ in what that is."""
        text = config.get_text_config()
        hidden = _largest(text, "hidden_size", 1)
        heads = _largest(text, "num_attention_heads", 1)
        head = _largest(text, "head_dim", hidden // heads)
        key_heads = _largest(text, "num_key_value_heads", heads)
        mlp = _largest(text, "intermediate_size", 4 * hidden)
        size, vocabulary = dtype.itemsize, _largest(text, "vocab_size", 1)
        return cls(
            kept=2 * _largest(text, "num_hidden_layers", 1) * key_heads * head * size,
            read=(3 * mlp + 4 * hidden) * size,
            row=vocabulary * (size + torch.float32.itemsize),
        )

    def sequence(self, tokens: int) -> int:
        """What one row of so many tokens takes."""
        return tokens * (self.kept + self.read) + self.row


def _largest(config: Any, name: str, default: int) -> int:
    """A size in a config: the largest where layers differ, the default where it is not stated."""
    value = getattr(config, name, None)
    sizes = value if isinstance(value, (list, tuple)) else [value]
    return max((int(size) for size in sizes if isinstance(size, int) and size > 0), default=default)


class DeviceMemory(ABC):
    """The memory that a model computes in."""

    @abstractmethod
    def free_bytes(self) -> int:
        """What could still be taken."""

    @abstractmethod
    def release(self) -> None:
        """Let go of what is set aside without being used, so that it can be taken in other pieces."""


class HostMemory(DeviceMemory):
    """The machine's own, of which the allocator sets little aside."""

    def release(self) -> None:
        return

    def free_bytes(self) -> int:
        import psutil  # here, so that a GPU can be checked where it is not installed

        return int(psutil.virtual_memory().available)


class CudaMemory(DeviceMemory):
    """That of a CUDA device."""

    def __init__(self, device: torch.device) -> None:
        self._device = device

    def free_bytes(self) -> int:
        """With what torch holds for later use."""
        held = torch.cuda.memory_reserved(self._device) - torch.cuda.memory_allocated(self._device)
        return int(torch.cuda.mem_get_info(self._device)[0]) + held

    def release(self) -> None:
        torch.cuda.empty_cache()


def memory_of(device: torch.device) -> DeviceMemory:
    """The memory of a device."""
    return CudaMemory(device) if device.type == "cuda" else HostMemory()
