"""A federated round against its clients' training steps, and against a model rebuilt for every client."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec
from flwr.app import Message

from evaluation.demonstration.base_model import build
from evaluation.demonstration.installed_model import HUB_ID
from evaluation.federated import data, local_model, presets, training
from evaluation.federated.config import FederatedConfig
from evaluation.federated.job import prepare
from evaluation.federated.server_app import federate
from evaluation.wire.training import Event, Round, RoundEnded
from tests.evaluation.federated.loopback import LoopbackGrid
from tests.perf.evaluation_speed import MODEL, ROOT
from tests.perf.measure import Comparison


@dataclass
class RebuildingGrid(LoopbackGrid):
    """Clients that load the model and tokenise anew for each message, as FlowerTune's public apps do."""

    def _answer(self, message: Message) -> Message:
        for kept in (local_model.load, local_model.tokenizer, training._tokens):
            kept.cache_clear()
        return super()._answer(message)


def compare() -> Iterator[Comparison]:
    logging.getLogger("flwr").setLevel(logging.ERROR)
    config = _config()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        measured = _simulated(replace(config, rounds=3, local_steps=10), folder)
        whole, training_steps = _sum(measured, "seconds"), _sum(measured, "train_seconds")
        yield Comparison(
            f"{len(measured)} simulated rounds of {config.clients_per_round} clients, 10 steps each",
            whole,
            "their pure training steps",
            training_steps,
            f"{100 * (whole / training_steps - 1):.1f}% more than the steps",
        )
        for steps in (1, config.local_steps):
            yield from _against_rebuilding(replace(config, local_steps=steps), folder / str(steps))


def _against_rebuilding(config: FederatedConfig, folder: Path) -> Iterator[Comparison]:
    clients = config.clients_per_round * config.rounds
    kept = _measured(config, LoopbackGrid(config.clients), folder / "kept")
    rebuilt = _measured(config, RebuildingGrid(config.clients), folder / "rebuilt")
    yield Comparison(
        f"a client's work of {config.local_steps} steps of {config.batch_size} rows, the model kept",
        _sum(kept, "seconds") / clients,
        "the model rebuilt",
        _sum(rebuilt, "seconds") / clients,
    )
    yield Comparison(
        "what it costs beyond its steps, the model kept",
        (_sum(kept, "seconds") - _sum(kept, "train_seconds")) / clients,
        "the model rebuilt",
        (_sum(rebuilt, "seconds") - _sum(rebuilt, "train_seconds")) / clients,
    )


def _config() -> FederatedConfig:
    """The small preset on real rows where there are some."""
    rows = ROOT.parent / "shared" / "data" / "train"
    preset = presets.get("cpu-one")
    config = presets.config(
        dict(preset.settings),
        model=build(MODEL),
        base_model_id=HUB_ID,
        train_data=data.locate(rows if rows.is_dir() else None, "finance"),
    )
    return replace(config, evaluate_every=0, held_out=0)


def _simulated(config: FederatedConfig, folder: Path) -> list[Round]:
    """The rounds of a run as a user starts it, with Flower's simulation."""
    (folder / "run.json").write_text(json.dumps(config.as_dict()))
    words: list[str | Path] = ["--config", folder / "run.json", "--output", folder / "simulated"]
    subprocess.run(
        [sys.executable, "-m", "evaluation.federated", *words],
        cwd=ROOT,
        check=True,
        stdout=subprocess.DEVNULL,
    )
    record = json.loads((folder / "simulated" / "training.json").read_text())
    return msgspec.convert(record["rounds"], list[Round])


def _measured(config: FederatedConfig, grid: LoopbackGrid, output: Path) -> list[Round]:
    rounds: list[Round] = []

    def report(event: Event) -> None:
        if isinstance(event, RoundEnded):
            rounds.append(event)

    federate(grid, prepare(config, output, report))
    return rounds


def _sum(rounds: list[Round], what: str) -> float:
    return float(sum(getattr(one, what) for one in rounds))
