"""What a client would keep between rounds: its own half of an adapter, control variates, compression errors.

Our clients keep nothing, so that any process can serve any client and a run can go on after a break. The
server holds it for them and sends it along in a record of its own, which `payload_bytes` leaves out and no
strategy reads. Arrays have the names of the adapter's tensors behind that of their group.
"""

from __future__ import annotations

from evaluation.federated.factors import Arrays

OWN = "own"
"""Tensors of the adapter that are not shared."""
CONTROL = "control"
"""SCAFFOLD's c_k."""
ERROR = "error"
"""What compression left out of the last update."""


def grouped(group: str, arrays: Arrays) -> Arrays:
    """Arrays under the name of their group."""
    return {f"{group}/{name}": array for name, array in arrays.items()}


def of_group(home: Arrays, group: str) -> Arrays:
    """The arrays of a group by their own names."""
    return {
        name.removeprefix(f"{group}/"): array for name, array in home.items() if name.startswith(f"{group}/")
    }
