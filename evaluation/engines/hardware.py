"""What this machine computes on, asked of drivers and the kernel: no model library is imported."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import psutil

from evaluation import gpus
from evaluation.gpus import Gpu
from evaluation.rules.protocol import Precision

# Of a parameter's weight; 4-bit ones have a scale of 32 bits for each block of 64.
_WEIGHT_BYTES = {"fp4": 0.5625, "nf4": 0.5625, "bf16": 2, "fp16": 2, "fp32": 4}
_CGROUP_LIMIT = Path("/sys/fs/cgroup/memory.max")


@dataclass(frozen=True)
class Hardware:
    """The GPUs that this process is given, and the machine's memory. Without GPUs the processor computes."""

    gpus: tuple[Gpu, ...]
    memory_bytes: int

    @classmethod
    def here(cls) -> Hardware:
        return cls(gpus.devices(), _machine_memory())

    def lacks(self, precision: Precision) -> str:
        """What a machine for this precision has and this one has not; "" where it will do.

        A processor computes in all of them, if slowly.
        """
        if precision == "bf16" and not all(gpu.computes_bf16 for gpu in self.gpus):
            return "a GPU that computes in bf16 (compute capability 8.0 or higher)"
        return ""

    def most_parameters(self, precision: Precision, *, several_gpus: bool) -> int:
        """How large a base model's weights alone may be for the memory there is, the one GPU's or of all."""
        used = self.gpus if several_gpus else self.gpus[:1]
        memory = sum(gpu.memory_bytes for gpu in used) or self.memory_bytes
        return int(memory / _WEIGHT_BYTES[precision])


def _machine_memory() -> int:
    """The machine's memory, or as much of it as this process's container may take."""
    total = int(psutil.virtual_memory().total)
    limit = _CGROUP_LIMIT.read_text().strip() if _CGROUP_LIMIT.is_file() else ""
    return min(total, int(limit)) if limit.isdigit() else total
