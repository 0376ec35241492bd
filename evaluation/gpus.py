"""NVIDIA GPUs as their driver sees them: which there are, their memory, energy and condition.

Light to import: a worker, and the process that starts the clients of a training, ask without loading torch.
"""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass
from itertools import takewhile
from types import ModuleType

ORDER = {"CUDA_DEVICE_ORDER": "PCI_BUS_ID"}
"""For the environment of what computes on GPUs: a number means the same one to CUDA as to the driver then,
also where CUDA would count the fastest first."""

_MILLIJOULE = 1e-3
# NVML's bits of why clocks are lower than they might be, of which an idle GPU has others. Power: braked from
# outside, not the cap that a busy GPU is always held to.
SLOWED_BY = {"heat": 0x20 | 0x40, "power": 0x80}
_BF16_CAPABILITY = (8, 0)


@dataclass(frozen=True)
class Gpu:
    """A CUDA device by its compute capability, its memory in bytes, and what its driver calls it."""

    capability: tuple[int, int]
    memory_bytes: int
    uuid: str = ""

    @property
    def computes_bf16(self) -> bool:
        """As they do since Ampere."""
        return self.capability >= _BF16_CAPABILITY


@dataclass(frozen=True)
class Condition:
    """A GPU at one moment: `uuid`, bytes of its memory, degrees Celsius, and what slows it: heat, power.

    The last two are None where the driver does not tell, as of a part of a GPU.
    """

    uuid: str
    memory_used: int
    memory_bytes: int
    temperature: int | None
    slowed_by: tuple[str, ...] | None


def count() -> int:
    """How many GPUs this process may use, by the driver and CUDA_VISIBLE_DEVICES; 0 without a driver."""
    nvml = _driver()
    if nvml is None:
        return 0
    listed = _listed()
    return int(nvml.nvmlDeviceGetCount()) if listed is None else len(listed)


def visible() -> tuple[str, ...]:
    """The UUIDs of the GPUs that this process may use; those that the driver does not know are left out."""
    return tuple(given())


def given() -> dict[str, str]:
    """What CUDA_VISIBLE_DEVICES calls each of the GPUs that this process may use, by its UUID."""
    nvml = _driver()
    if nvml is None:
        return {}
    listed = _listed()
    found = {}
    for device in map(str, range(int(nvml.nvmlDeviceGetCount()))) if listed is None else listed:
        with suppress(nvml.NVMLError):
            handle = (
                nvml.nvmlDeviceGetHandleByIndex(int(device))
                if device.isdecimal()
                else nvml.nvmlDeviceGetHandleByUUID(device)
            )
            found[str(nvml.nvmlDeviceGetUUID(handle))] = device
    return found


def names() -> tuple[str, ...]:
    """What their maker calls the GPUs that this process may use."""
    nvml = _driver()
    if nvml is None:
        return ()
    return tuple(str(nvml.nvmlDeviceGetName(nvml.nvmlDeviceGetHandleByUUID(uuid))) for uuid in visible())


def name_of(uuid: str) -> str | None:
    """What its maker calls one GPU; None where the driver does not tell."""
    nvml = _driver()
    if nvml is None:
        return None
    with suppress(nvml.NVMLError):
        return str(nvml.nvmlDeviceGetName(nvml.nvmlDeviceGetHandleByUUID(uuid)))
    return None


def driver_version() -> str | None:
    """None without a driver."""
    nvml = _driver()
    return None if nvml is None else str(nvml.nvmlSystemGetDriverVersion())


def devices() -> tuple[Gpu, ...]:
    """The GPUs that this process may use; none without a driver. Whose memory is unknown is left out."""
    nvml = _driver()
    if nvml is None:
        return ()
    found = []
    for uuid in visible():
        with suppress(nvml.NVMLError):
            handle = nvml.nvmlDeviceGetHandleByUUID(uuid)
            capability = _BF16_CAPABILITY  # of a part of a GPU, which there are since then, none is told
            with suppress(nvml.NVMLError):
                major, minor = nvml.nvmlDeviceGetCudaComputeCapability(handle)
                capability = (int(major), int(minor))
            found.append(Gpu(capability, int(nvml.nvmlDeviceGetMemoryInfo(handle).total), uuid))
    return tuple(found)


def conditions() -> tuple[Condition, ...]:
    """How the GPUs that this process may use are at this moment; whose memory is unknown is left out."""
    nvml = _driver()
    if nvml is None:
        return ()
    found = []
    for uuid in visible():
        with suppress(nvml.NVMLError):
            handle = nvml.nvmlDeviceGetHandleByUUID(uuid)
            memory = nvml.nvmlDeviceGetMemoryInfo(handle)
            temperature = slowed_by = None
            with suppress(nvml.NVMLError):
                temperature = int(nvml.nvmlDeviceGetTemperature(handle, nvml.NVML_TEMPERATURE_GPU))
            with suppress(nvml.NVMLError):
                reasons = int(nvml.nvmlDeviceGetCurrentClocksEventReasons(handle))
                slowed_by = tuple(cause for cause, bits in SLOWED_BY.items() if reasons & bits)
            found.append(Condition(uuid, int(memory.used), int(memory.total), temperature, slowed_by))
    return tuple(found)


def compute_bf16() -> bool:
    """Whether what this process computes on has arithmetic in bf16; a processor computes in any precision."""
    return all(gpu.computes_bf16 for gpu in devices())


def free_bytes(uuid: str) -> int | None:
    """Memory of a GPU that no process has taken; None where its driver does not tell."""
    nvml = _driver()
    if nvml is None:
        return None
    with suppress(nvml.NVMLError):
        return int(nvml.nvmlDeviceGetMemoryInfo(nvml.nvmlDeviceGetHandleByUUID(uuid)).free)
    return None


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


def _listed() -> list[str] | None:
    """What CUDA_VISIBLE_DEVICES lists; None where it is not set."""
    value = os.environ.get("CUDA_VISIBLE_DEVICES")
    if value is None:
        return None
    # CUDA too takes no device behind one that is none.
    return list(takewhile(lambda device: device not in ("", "-1"), map(str.strip, value.split(","))))


def _driver() -> ModuleType | None:
    import pynvml  # here, so that no other part of this package needs it

    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        return None
    nvml: ModuleType = pynvml
    return nvml
