"""An interrupted run goes on from its last round and ends as if nothing had happened."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy
import psutil
import pytest
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

from evaluation.errors import DataError, EvaluationError
from evaluation.federated.config import BEFORE_TEMPLATES, THREADS, FederatedConfig, Partition
from evaluation.federated.job import prepare
from evaluation.federated.server_app import federate
from evaluation.wire.training import Event, RoundEnded

from .loopback import LoopbackGrid

ROOT = Path(__file__).resolve().parents[3]


class StopError(Exception):
    """Ends a run where a test wants it to."""


def run(
    config: FederatedConfig, output: Path, state: Path | None = None, *, stop_after: int = 0, seed: int = 0
) -> list[int]:
    """Train; returns the rounds that were told. Stops, as a killed process would, after `stop_after`."""
    told: list[int] = []

    def report(event: Event) -> None:
        if isinstance(event, RoundEnded):
            told.append(event.round)
            if event.round == stop_after:
                raise StopError

    federate(
        LoopbackGrid(config.clients, seed), prepare(config, output, report, state=state, resume=bool(state))
    )
    return told


def adapter(folder: Path) -> dict[str, numpy.ndarray]:
    return load_file(folder / "adapter_model.safetensors")


def losses(folder: Path) -> list[float]:
    """Of training, round by round: where they begin to differ is where two runs parted."""
    return [one["train_loss"] for one in json.loads((folder / "training.json").read_text())["rounds"]]


@pytest.mark.parametrize("strategy", ["fedavg", "fedavgm", "fedadam", "rolora", "fedex-lora", "local-only"])
def test_a_resumed_run_gives_the_same_adapter_bit_for_bit(
    strategy: str, config: FederatedConfig, tmp_path: Path
) -> None:
    config = replace(config, strategy=strategy, rounds=4, evaluate_every=2, held_out=2)
    assert run(config, tmp_path / "whole") == [1, 2, 3, 4]
    with pytest.raises(StopError):
        run(config, tmp_path / "resumed", tmp_path / "state", stop_after=2, seed=1)
    assert run(config, tmp_path / "resumed", tmp_path / "state", seed=2) == [1, 2, 3, 4]
    whole, resumed = adapter(tmp_path / "whole"), adapter(tmp_path / "resumed")
    assert whole.keys() == resumed.keys()
    assert all((whole[name] == resumed[name]).all() for name in whole)
    records = [json.loads((tmp_path / name / "training.json").read_text()) for name in ("whole", "resumed")]
    assert [record["resumed_after_round"] for record in records] == [None, 2]
    losses = [[one["held_out_loss"] for one in record["rounds"]] for record in records]
    assert losses[0] == losses[1]
    assert [loss is None for loss in losses[0]] == [True, False, True, False]


def test_another_run_is_not_resumed_and_the_settings_that_differ_are_named(
    config: FederatedConfig, tmp_path: Path
) -> None:
    with pytest.raises(StopError):
        run(config, tmp_path / "out", tmp_path / "state", stop_after=1)
    other = replace(config, rank=4, partition=Partition("size", 0.5))
    with pytest.raises(EvaluationError, match=r"partition\.alpha, partition\.kind, rank differ"):
        run(other, tmp_path / "out", tmp_path / "state")
    rows = tmp_path / "finance.jsonl"
    rows.write_text(config.train_data.read_text().replace("buy", "hold"))
    with pytest.raises(EvaluationError, match="training rows differ"):
        run(replace(config, train_data=rows), tmp_path / "out", tmp_path / "state")


FIRST_SETTINGS = {
    "adapter", "alpha", "base_model_id", "batch_size", "challenge", "clients", "clients_per_round", "dropout",
    "evaluate_every", "held_out", "learning_rate", "learning_rate_min", "local_steps", "minimum_clients",
    "partition", "precision", "privacy", "rank", "rounds", "schedule", "seed", "sequence_length", "strategy",
    "strategy_options", "target_modules", "training rows",
}  # fmt: skip
FIRST_MEASUREMENTS = {
    "aggregate_seconds", "bytes_down", "bytes_up", "client_peak_rss_bytes", "client_peak_vram_bytes",
    "clients", "communicate_seconds", "energy_joules", "epsilon", "examples", "failures", "gpu_seconds",
    "held_out_loss", "learning_rate", "messages_down", "messages_up", "round", "seconds",
    "server_peak_rss_bytes", "train_loss", "train_seconds",
}  # fmt: skip


def test_a_run_that_an_earlier_version_began_goes_on_as_it_was(
    config: FederatedConfig, tmp_path: Path
) -> None:
    """Whatever settings and measurements there are by now: an upgrade comes in the middle of runs."""
    usual = FederatedConfig.from_dict({**config.as_dict(), **BEFORE_TEMPLATES, "threads": THREADS})
    with pytest.raises(StopError):
        run(usual, tmp_path / "out", tmp_path / "state", stop_after=1)
    kept, progress = tmp_path / "state" / "run.json", tmp_path / "state" / "progress.safetensors"
    settings = {k: v for k, v in json.loads(kept.read_text()).items() if k in FIRST_SETTINGS}
    settings["partition"] = {k: settings["partition"][k] for k in ("kind", "alpha", "column")}
    kept.write_text(json.dumps(settings))
    with safe_open(progress, framework="numpy") as file:
        header = json.loads(file.metadata()["progress"])
    header["records"] = [
        {k: v for k, v in record.items() if k in FIRST_MEASUREMENTS} for record in header["records"]
    ]
    del header["homes"]
    save_file(load_file(progress), progress, {"progress": json.dumps(header)})
    with pytest.raises(EvaluationError, match="template, threads differ"):
        run(replace(usual, template="alpaca", threads=THREADS + 1), tmp_path / "out", tmp_path / "state")
    assert run(usual, tmp_path / "out", tmp_path / "state") == [1, 2]


def test_the_same_run_from_other_places_is_the_same(config: FederatedConfig, tmp_path: Path) -> None:
    with pytest.raises(StopError):
        run(config, tmp_path / "out", tmp_path / "state", stop_after=1)
    rows = tmp_path / "finance.jsonl"
    rows.write_text(config.train_data.read_text())
    assert run(replace(config, train_data=rows), tmp_path / "out", tmp_path / "state") == [1, 2]


def test_an_unfinished_run_is_not_overwritten_by_accident(config: FederatedConfig, tmp_path: Path) -> None:
    with pytest.raises(StopError):
        run(config, tmp_path / "out", tmp_path / "state", stop_after=1)
    with pytest.raises(EvaluationError, match="holds an unfinished run; --resume goes on with it"):
        prepare(config, tmp_path / "out", lambda _event: None, state=tmp_path / "state")


@pytest.mark.parametrize("content", [b"", b"not safetensors", b"\x02\0\0\0\0\0\0\0{}"])
def test_a_damaged_state_is_an_error_that_names_the_file(
    content: bytes, config: FederatedConfig, tmp_path: Path
) -> None:
    with pytest.raises(StopError):
        run(config, tmp_path / "out", tmp_path / "state", stop_after=1)
    (tmp_path / "state" / "progress.safetensors").write_bytes(content)
    with pytest.raises(DataError, match=r"progress\.safetensors is damaged"):
        run(config, tmp_path / "out", tmp_path / "state")


@pytest.mark.slow("trains in three processes, one of them killed")
def test_a_killed_process_leaves_no_other_and_its_run_goes_on(
    config: FederatedConfig, tmp_path: Path
) -> None:
    """SIGKILL, which no clean-up survives, in the middle of real rounds; and threads are the run's own."""
    config = replace(config, rounds=20, local_steps=1)
    words = tmp_path / "run.json"
    words.write_text(json.dumps(config.as_dict()))
    command = [
        sys.executable, "-m", "evaluation.federated", "--config", str(words), "--events",
        "--output", str(tmp_path / "out"), "--state", str(tmp_path / "state"), "--resume",
    ]  # fmt: skip
    two, three = (os.environ | {"OMP_NUM_THREADS": threads} for threads in "23")
    with subprocess.Popen(command, cwd=ROOT, env=two, stdout=subprocess.PIPE, text=True) as killed:
        assert killed.stdout
        heard = [json.loads(killed.stdout.readline()) for _ in range(4)]
        family = psutil.Process(killed.pid).children(recursive=True)
        killed.kill()
    assert killed.returncode == -signal.SIGKILL
    assert [event["event"] for event in heard] == ["ready", "round", "round", "round"]
    _, alive = psutil.wait_procs(family, timeout=60)
    assert alive == []
    another = replace(config, rounds=2, seed=7)
    other_words = tmp_path / "another.json"
    other_words.write_text(json.dumps(another.as_dict()))
    further = json.dumps(["--config", str(other_words), "--output", str(tmp_path / "further"), "--events"])
    ended = subprocess.run(
        [*command, "--further"],
        cwd=ROOT,
        env=three,
        input=f"{further}\n\n",
        capture_output=True,
        text=True,
        timeout=900,
    )
    assert ended.returncode == 0, ended.stderr
    events = [json.loads(line) for line in ended.stdout.splitlines()]
    end = next(number for number, event in enumerate(events) if event["event"] == "done")
    events, of_another = events[: end + 1], events[end + 1 :]
    assert [event["event"] for event in of_another] == ["ready", "round", "round", "done"]
    assert events[0]["resumed"] >= 3
    assert {ready["hardware"].rpartition(", ")[2] for ready in (heard[0], events[0])} == {"1 threads"}
    assert [event["round"] for event in events[1:-1]] == list(range(1, 21))
    assert events[-1]["event"] == "done"
    assert [event["failures"] for event in events[1:-1]] == [[]] * 20
    run(config, tmp_path / "whole")
    assert losses(tmp_path / "out") == losses(tmp_path / "whole")
    whole, resumed = adapter(tmp_path / "whole"), adapter(tmp_path / "out")
    assert all((whole[name] == resumed[name]).all() for name in whole)
    # What a process did before changes nothing of a further run.
    run(another, tmp_path / "alone")
    alone, behind = adapter(tmp_path / "alone"), adapter(tmp_path / "further")
    assert all((alone[name] == behind[name]).all() for name in alone)
