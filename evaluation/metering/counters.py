"""Counters of energy: NVIDIA's driver counts each GPU, RAPL each package of a processor.

RAPL is read from Linux's powercap tree (https://docs.kernel.org/power/powercap/powercap.html). A zone's
`energy_uj` goes back to zero after `max_energy_range_uj`, and since Linux 5.10 root alone may read it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from evaluation import gpus, processor

POWERCAP = Path("/sys/class/powercap")
# AMD's are called so too. A zone within a package has another number behind it; `intel-rapl-mmio:0` is the
# same package by another way, and `psys` the whole platform with its packages.
_ZONE = re.compile(r"intel-rapl:\d+")
_PACKAGE = re.compile(r"package-\d+(-die-\d+)?")


class Counter(Protocol):
    """Counts joules upwards. `key` tells it from others on this machine.

    `range_joules` is what it counts to before it begins anew, None of one that never does.
    """

    @property
    def key(self) -> str: ...

    @property
    def name(self) -> str: ...

    @property
    def range_joules(self) -> float | None: ...

    def read(self) -> float:
        """Joules since some moment. Raises OSError where it cannot be read."""


@dataclass(frozen=True)
class GpuCounter:
    """NVML's counter of a GPU: all that the board has used since its driver was loaded, for whomever."""

    key: str
    range_joules: float | None = None

    @property
    def name(self) -> str:
        return f"NVML of {gpus.name_of(self.key) or 'a GPU'}"

    def read(self) -> float:
        joules = gpus.energy_joules(self.key)
        if joules is None:
            raise OSError("its driver tells none")
        return joules


@dataclass(frozen=True)
class Package:
    """A package of a processor, in its zone's folder; memory beside the package is not in it."""

    folder: Path
    key: str
    range_joules: float | None

    @property
    def name(self) -> str:
        return f"RAPL {self.key} of {processor.name()}"

    def read(self) -> float:
        try:
            return _joules(self.folder / "energy_uj")
        except ValueError as error:
            raise OSError("it tells no number") from error


def of_gpus(uuids: Sequence[str]) -> tuple[GpuCounter, ...]:
    return tuple(map(GpuCounter, uuids))


def of_processors(powercap: Path = POWERCAP) -> tuple[Package, ...]:
    """Each package of this machine once, readable or not; none where there is no RAPL."""
    found = []
    zones = sorted(powercap.iterdir()) if powercap.is_dir() else []
    for folder in zones:
        with suppress(OSError, ValueError):  # a zone that cannot say what it is
            name = (folder / "name").read_text(encoding="ascii").strip()
            if _ZONE.fullmatch(folder.name) and _PACKAGE.fullmatch(name):
                found.append(Package(folder, name, _joules(folder / "max_energy_range_uj")))
    return tuple(found)


def _joules(file: Path) -> float:
    return int(file.read_text(encoding="ascii")) * 1e-6
