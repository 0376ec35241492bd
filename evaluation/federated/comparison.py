"""Finished runs side by side: loss by round, bytes, seconds and memory, as a table of plain text."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from evaluation.errors import DataError

_MB = 1024**2


def is_finished(folder: Path) -> bool:
    """Whether a run's result lies in a folder, which is written in one step."""
    return (folder / "training.json").is_file()


def read(folder: Path) -> dict[str, Any]:
    """The `training.json` of a run's output folder. Raises DataError when there is none."""
    try:
        record = json.loads((folder / "training.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"{folder} holds no finished run: {error}") from error
    assert isinstance(record, dict)
    return record


def table(records: Sequence[Mapping[str, Any]]) -> list[str]:
    """One line a run under a head, columns aligned. MB are 1024² bytes; seconds are those of all rounds."""
    rounds = max(len(record["rounds"]) for record in records)
    head = [
        "strategy", *_numbered("loss", rounds), *_numbered("held-out", rounds),
        "MB down", "MB up", "train s", "aggregate s", "communicate s", "client MB", "server MB",
    ]  # fmt: skip
    rows = [head, *(_cells(record, rounds) for record in records)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(head))]
    lines = [
        "  ".join([row[0].ljust(widths[0])] + [c.rjust(w) for c, w in zip(row[1:], widths[1:], strict=True)])
        for row in rows
    ]
    return [
        *lines,
        "loss: mean over a round's local steps, before each; held-out: of the aggregate, on rows kept apart;",
        "memory: the highest so far of a process, which serves all runs.",
    ]


def _numbered(what: str, rounds: int) -> list[str]:
    return [f"{what} {number}" for number in range(1, rounds + 1)]


def _cells(record: Mapping[str, Any], rounds: int) -> list[str]:
    measured = record["rounds"]
    missing = [""] * (rounds - len(measured))
    losses, held_out = (
        ["" if one[key] is None else f"{one[key]:.4f}" for one in measured] + missing
        for key in ("train_loss", "held_out_loss")
    )
    return [
        record["strategy"],
        *losses,
        *held_out,
        f"{record['communication_down_bytes'] / _MB:.2f}",
        f"{record['communication_up_bytes'] / _MB:.2f}",
        f"{record['train_seconds']:.1f}",
        f"{record['aggregate_seconds']:.2f}",
        f"{record['communicate_seconds']:.1f}",
        f"{record['client_peak_rss_bytes'] / _MB:.0f}",
        f"{record['server_peak_rss_bytes'] / _MB:.0f}",
    ]
