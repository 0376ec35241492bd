"""How often the kernel has ended a process because memory ran out, to tell such an end from others."""

from __future__ import annotations

from pathlib import Path

_COUNTERS = Path("/proc/vmstat")


def count() -> int | None:
    """Since the machine was started, those of a container's limit included; None where it does not tell."""
    try:
        lines = _COUNTERS.read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    found = [line.split()[1] for line in lines if line.startswith("oom_kill ")]
    return int(found[0]) if found else None


def happened_since(before: int | None) -> bool:
    """Whether one did since `count` gave `before`."""
    now = count()
    return before is not None and now is not None and now > before
