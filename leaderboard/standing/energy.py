"""Energy as a meter told it, to be held against energy of like devices. Pure."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class NetEnergy:
    """Joules above what the devices draw when idle, and by which counters, of which devices.

    Only figures with the same `counters` say anything about each other.
    """

    joules: float
    counters: str
