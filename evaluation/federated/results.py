"""What a run leaves: the adapter, the app's configuration, and `training.json` with all measurements."""

from __future__ import annotations

import json
import os
import platform
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from evaluation import hardware
from evaluation.federated.adapter import GlobalAdapter
from evaluation.federated.app_file import pyproject
from evaluation.federated.config import FederatedConfig
from evaluation.federated.data import TrainingData
from evaluation.federated.factors import Arrays
from evaluation.federated.kept_rounds import KeptRounds
from evaluation.wire.training import Ready, Round

PACKAGES = ("flwr", "flwr-datasets", "ray", "torch", "transformers", "peft")


@dataclass(frozen=True)
class Run:
    """A finished run. `wall_seconds` are those from its start, of which some are before the first round.

    Of a run that was resumed they are those of its last process and of the rounds before it.
    """

    config: FederatedConfig
    data: TrainingData
    rounds: tuple[Round, ...]
    ready: Ready
    wall_seconds: float


def write(run: Run, adapter: GlobalAdapter, arrays: Arrays, kept: KeptRounds, output: Path) -> None:
    """Write all files of a run beside `output` and rename the folder when it is complete."""
    partial = output.with_name(f".{output.name}.{os.getpid()}.partial")
    try:
        adapter.save(arrays, partial)
        kept.give_to(partial)
        (partial / "pyproject.toml").write_text(pyproject(run.config, run.data), encoding="utf-8")
        record = json.dumps(training_record(run, adapter.parameters()), indent=1, allow_nan=False)
        (partial / "training.json").write_text(record + "\n", encoding="utf-8")
        partial.rename(output)  # replaces an empty folder, refuses a full one
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def training_record(run: Run, parameters: int) -> dict[str, Any]:
    """The content of `training.json`: seconds, bytes and joules; None where there is nothing to measure."""
    down, up = sum(r.bytes_down for r in run.rounds), sum(r.bytes_up for r in run.rounds)
    settings = run.config.settled().as_dict()
    for path in ("model", "train_data"):
        del settings[path]  # where they lay on this machine; what they are is under base_model and dataset
    return {
        "challenge": run.config.challenge,
        "strategy": run.config.strategy,
        "base_model": run.config.base_model_id,
        "seed": run.config.seed,
        "config": settings,
        "dataset": {
            "name": run.data.name,
            "rows": len(run.data.rows),
            "digest": run.data.digest,
            "demonstration": run.data.demonstration,
        },
        "partition": asdict(run.ready.shares),
        "rounds": [asdict(r) for r in run.rounds],
        "communication_down_bytes": down,
        "communication_up_bytes": up,
        "client_peak_rss_bytes": max(r.client_peak_rss_bytes for r in run.rounds),
        "server_peak_rss_bytes": max(r.server_peak_rss_bytes for r in run.rounds),
        "client_peak_vram_bytes": max(r.client_peak_vram_bytes or 0 for r in run.rounds) or None,
        "train_seconds": sum(r.train_seconds for r in run.rounds),
        "aggregate_seconds": sum(r.aggregate_seconds for r in run.rounds),
        "communicate_seconds": sum(r.communicate_seconds for r in run.rounds),
        "gpu_seconds": _total([r.gpu_seconds for r in run.rounds]),
        "energy_joules": _total([r.energy_joules for r in run.rounds]),
        "energy_net_joules": _total([r.energy_net_joules for r in run.rounds]),
        "energy_methods": sorted({r.energy_method for r in run.rounds} - {""}),
        "epsilon": run.rounds[-1].epsilon,
        "startup_seconds": run.ready.startup_seconds,
        "wall_seconds": run.wall_seconds,
        "resumed_after_round": run.ready.resumed or None,
        "trainable_parameters": parameters,
        "versions": {"python": platform.python_version()} | {name: version(name) for name in PACKAGES},
        "hardware": {"clients": run.ready.hardware, "server": hardware.describe()},
    }


def _total(measured: Sequence[float | None]) -> float | None:
    """The sum, or None where a round was not measured: half a sum would mislead."""
    known = [value for value in measured if value is not None]
    return sum(known) if len(known) == len(measured) else None
