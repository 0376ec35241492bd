"""The highest resident memory of this process: of one run where it serves several, as Linux can forget it."""

from __future__ import annotations

import resource
from contextlib import suppress
from pathlib import Path

# proc_pid_clear_refs(5): the peak becomes what is resident now.
_CLEAR, _PEAK = Path("/proc/self/clear_refs"), "5"


def bytes_so_far() -> int:
    """Since the process began, or since `forget` where the system can do that."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def forget() -> None:
    """Measure anew from here on."""
    with suppress(OSError):  # other systems than Linux, and sandboxes that show no /proc
        _CLEAR.write_text(_PEAK)
