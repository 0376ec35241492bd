"""NVIDIA GPUs as their driver sees them: how many there are, and the energy that one has used.

Light to import: the process that starts the clients counts GPUs without loading torch.
"""

from __future__ import annotations

import os
from contextlib import suppress
from types import ModuleType

_MILLIJOULE = 1e-3


def count() -> int:
    """How many GPUs this process may use, by the driver and CUDA_VISIBLE_DEVICES; 0 without a driver."""
    nvml = _driver()
    if nvml is None:
        return 0
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is None:
        return int(nvml.nvmlDeviceGetCount())
    listed = [device.strip() for device in visible.split(",")]
    return len([device for device in listed if device and device != "-1"])


def energy_joules(uuid: str | None) -> float | None:
    """What the GPU with this UUID has used since its driver was loaded, in joules.

    The difference of two readings is all that the GPU used in between, for whomever. None without a GPU, a
    driver or a counter (before Volta, and on parts of a GPU that is divided by MIG).
    """
    nvml = _driver() if uuid else None
    if nvml is None:
        return None
    with suppress(nvml.NVMLError):
        device = nvml.nvmlDeviceGetHandleByUUID(uuid)
        return float(nvml.nvmlDeviceGetTotalEnergyConsumption(device)) * _MILLIJOULE
    return None


def _driver() -> ModuleType | None:
    import pynvml  # here, so that no other part of this package needs it

    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        return None
    nvml: ModuleType = pynvml
    return nvml
