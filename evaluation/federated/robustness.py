"""What each strategy loses where clients fail or work against it: the runs that show it, and their report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from evaluation.federated.config import FederatedConfig

UNDISTURBED, DROP_OUT, POISONED = "undisturbed", "drop-out", "poisoned"
_SHARE = 0.25
"""Of the clients that fail, or work against the run, where its settings say nothing else."""


def disturbed(config: FederatedConfig) -> dict[str, FederatedConfig]:
    """A run undisturbed, with drop-out, and with poisoned clients: as many as it has, or a quarter."""
    devices = config.devices
    alone = replace(devices, drop_out=0.0, poisoned=0)
    chosen = {
        UNDISTURBED: alone,
        DROP_OUT: replace(alone, drop_out=devices.drop_out or _SHARE),
        POISONED: replace(alone, poisoned=devices.poisoned or max(1, round(_SHARE * config.clients))),
    }
    return {name: replace(config, devices=own) for name, own in chosen.items()}


Record = Mapping[str, Any]


def table(records: Mapping[str, Mapping[str, Record | None]]) -> list[str]:
    """By strategy and disturbance the loss at the end, and what it is above the undisturbed run's.

    None stands for a run that failed, as one does that has no usable reply left.

    It is the loss on held-out rows where there are any, else that of the last round's training.
    """
    cells = [["strategy", UNDISTURBED, DROP_OUT, "", POISONED, "", "worst client", DROP_OUT, POISONED]]
    for strategy, runs in records.items():
        start = _last_loss(runs[UNDISTURBED])
        row = [strategy, _ended(runs[UNDISTURBED])]
        for name in (DROP_OUT, POISONED):
            loss = _last_loss(runs[name])
            row += [_ended(runs[name]), "" if loss is None or start is None else f"{loss - start:+.4f}"]
        cells.append([*row, *(_text(_worst(runs[name])) for name in (UNDISTURBED, DROP_OUT, POISONED))])
    widths = [max(len(row[column]) for row in cells) for column in range(len(cells[0]))]
    return [
        "  ".join([row[0].ljust(widths[0]), *(c.rjust(w) for c, w in zip(row[1:], widths[1:], strict=True))])
        for row in cells
    ]


def _ended(record: Record | None) -> str:
    return "failed" if record is None else _text(_last_loss(record))


def _last_loss(record: Record | None) -> float | None:
    for name in ("held_out_loss", "train_loss"):
        losses = [one[name] for one in record["rounds"] if one[name] is not None] if record else []
        if losses:
            return float(losses[-1])
    return None


def _worst(record: Record | None) -> float | None:
    measured: Sequence[Record] = record["rounds"][-1]["client_losses"] if record else ()
    return max((float(one["loss"]) for one in measured), default=None)


def _text(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"
