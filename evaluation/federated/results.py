"""What a run leaves: the adapter, the app's configuration, and `training.json` with all measurements."""

from __future__ import annotations

import json
import os
import platform
import resource
import shutil
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from evaluation.federated import hardware
from evaluation.federated.adapter import GlobalAdapter
from evaluation.federated.app_file import pyproject
from evaluation.federated.config import FederatedConfig
from evaluation.federated.data import TrainingData
from evaluation.federated.factors import Arrays
from evaluation.federated.rounds import Round

PACKAGES = ("flwr", "flwr-datasets", "ray", "torch", "transformers", "peft")
_MB = 1024**2


@dataclass(frozen=True)
class Run:
    """A finished run. `startup_seconds` is the part of `wall_seconds` before the first round."""

    config: FederatedConfig
    data: TrainingData
    rounds: tuple[Round, ...]
    clients_hardware: str
    startup_seconds: float
    wall_seconds: float


def line(measured: Round, rounds: int) -> str:
    """A round in one line of plain text. MB are 1024² bytes, as in the FlowerTune rules."""
    text = (
        f"round {measured.round}/{rounds}: clients {', '.join(map(str, measured.clients))}, "
        f"train loss {measured.train_loss:.4f}, {measured.bytes_down / _MB:.1f} MB down, "
        f"{measured.bytes_up / _MB:.1f} MB up, {measured.seconds:.1f} s"
    )
    for failure in measured.failures:
        text += f"; left out client {failure.client}: {failure.reason}"
    return text


def write(run: Run, adapter: GlobalAdapter, arrays: Arrays, output: Path) -> None:
    """Write all files of a run beside `output` and rename the folder when it is complete."""
    partial = output.with_name(f".{output.name}.{os.getpid()}.partial")
    try:
        adapter.save(arrays, partial)
        source = f"demonstration rows, {run.data.name}" if run.data.demonstration else run.data.name
        rows = f"Trained on {len(run.data.rows)} rows of {source} (SHA-256 {run.data.digest})."
        (partial / "pyproject.toml").write_text(pyproject(run.config, rows), encoding="utf-8")
        record = json.dumps(training_record(run, adapter.parameters()), indent=1, allow_nan=False)
        (partial / "training.json").write_text(record + "\n", encoding="utf-8")
        partial.rename(output)  # replaces an empty folder, refuses a full one
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def training_record(run: Run, parameters: int) -> dict[str, Any]:
    """The content of `training.json`: seconds and bytes; None where there is nothing to measure."""
    down, up = sum(r.bytes_down for r in run.rounds), sum(r.bytes_up for r in run.rounds)
    vram = max(r.client_peak_vram_bytes or 0 for r in run.rounds) or None
    settings = asdict(run.config)
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
        "rounds": [asdict(r) for r in run.rounds],
        "communication_down_bytes": down,
        "communication_up_bytes": up,
        "client_peak_rss_bytes": max(r.client_peak_rss_bytes for r in run.rounds),
        "server_peak_rss_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        "client_peak_vram_bytes": vram,
        "gpu_seconds": sum(r.train_seconds for r in run.rounds) if vram else None,
        "startup_seconds": run.startup_seconds,
        "wall_seconds": run.wall_seconds,
        "trainable_parameters": parameters,
        "versions": {"python": platform.python_version()} | {name: version(name) for name in PACKAGES},
        "hardware": {"clients": run.clients_hardware, "server": hardware.describe()},
    }
