"""`python -m evaluation.federated` as a user starts it: real processes, Flower's simulation, signals."""

from __future__ import annotations

import json
import signal
import stat
import subprocess
import sys
from pathlib import Path

import psutil

from evaluation.federated.farewell import HOME
from evaluation.method.strategies import STRATEGIES

ROOT = Path(__file__).resolve().parents[3]


def command(base_model: Path, rows_file: Path, output: Path, **options: object) -> list[str]:
    settings = {
        "challenge": "finance",
        "model": base_model,
        "train-data": rows_file,
        "output": output,
        "clients": 3,
        "clients-per-round": 2,
        "rounds": 2,
        "local-steps": 2,
        "batch-size": 2,
        "rank": 2,
        "alpha": 4,
        "precision": "fp32",
    } | {name.replace("_", "-"): value for name, value in options.items()}
    flags = [text for name, value in settings.items() for text in (f"--{name}", str(value))]
    return [sys.executable, "-m", "evaluation.federated", *flags]


def test_a_run_trains_tells_and_leaves_no_process(base_model: Path, rows_file: Path, tmp_path: Path) -> None:
    output = tmp_path / "out"
    ran = subprocess.run(
        command(base_model, rows_file, output), cwd=ROOT, capture_output=True, text=True, timeout=900
    )
    assert ran.returncode == 0, ran.stderr
    lines = ran.stdout.splitlines()
    assert lines[0].startswith("ready after")
    assert [line.split(":")[0] for line in lines[1:3]] == ["round 1/2", "round 2/2"]
    assert {path.name for path in output.iterdir()} == {
        "adapter_config.json", "adapter_model.safetensors", "pyproject.toml", "training.json"
    }  # fmt: skip
    measured = json.loads((output / "training.json").read_text())
    assert measured["base_model"] == "tiny-llama"
    assert measured["communication_up_bytes"] == measured["trainable_parameters"] * 4 * 2 * 2
    assert running_with(output) == []


def test_a_terminated_run_ends_all_its_processes_and_leaves_no_files(
    base_model: Path, rows_file: Path, tmp_path: Path
) -> None:
    output = tmp_path / "out"
    started = subprocess.Popen(
        command(base_model, rows_file, output, rounds=10_000), cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    assert started.stdout is not None
    assert "ready after" in started.stdout.readline()
    family = psutil.Process(started.pid).children(recursive=True)
    assert any("raylet" in process.name() for process in family)
    assert listened_on(family) == {"127.0.0.1"}
    (folder,) = {Path(process.environ()[HOME]) for process in family if HOME in process.environ()}
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    started.terminate()
    with started:
        started.communicate(timeout=180)
    assert started.returncode == 128 + signal.SIGTERM
    _, alive = psutil.wait_procs(family, timeout=0)
    assert alive == []
    assert list(tmp_path.iterdir()) == []
    assert not folder.exists()


def test_every_strategy_runs_in_one_go_on_one_loaded_model_and_learns(
    base_model: Path, rows_file: Path, tmp_path: Path
) -> None:
    words = {
        "preset": "cpu-small", "model": base_model, "train-data": rows_file, "output": tmp_path / "grid",
        "batch-size": 2, "held-out": 2, "learning-rate": 0.01,
    }  # fmt: skip
    flags = [text for name, value in words.items() for text in (f"--{name}", str(value))]
    grid = [sys.executable, "-m", "evaluation.federated", *flags]
    ran = subprocess.run(grid, cwd=ROOT, capture_output=True, text=True, timeout=900)
    assert ran.returncode == 0, ran.stderr
    folders = {path.name for path in (tmp_path / "grid").iterdir()}
    assert folders == STRATEGIES.keys()
    startups: list[float] = []
    for name in STRATEGIES:
        measured = json.loads((tmp_path / "grid" / name / "training.json").read_text())
        for loss in ("train_loss", "held_out_loss"):
            first, second = (one[loss] for one in measured["rounds"])
            assert second < first, name
        startups.append(measured["startup_seconds"])
    assert max(startups[1:]) < startups[0] / 2  # only the first run's clients load the model
    table = ran.stdout.splitlines()[-len(STRATEGIES) - 3 :]
    assert table[0].split()[:5] == ["strategy", "loss", "1", "loss", "2"]
    assert [line.split()[0] for line in table[1:-2]] == list(STRATEGIES)


def test_a_bad_configuration_is_one_line_and_exit_code_2(
    base_model: Path, rows_file: Path, tmp_path: Path
) -> None:
    ran = subprocess.run(
        command(base_model, rows_file, tmp_path / "out", clients=11), cwd=ROOT, capture_output=True, text=True
    )
    assert ran.returncode == 2
    *notes, error = ran.stderr.splitlines()
    assert error == "error: 11 clients cannot share the 10 rows"
    assert all(line.startswith("note: ") for line in notes)
    assert ran.stdout == ""


def listened_on(processes: list[psutil.Process]) -> set[str]:
    """The addresses on which these processes wait for connections."""
    return {
        connection.laddr.ip.removeprefix("::ffff:")
        for process in processes
        for connection in process.net_connections(kind="inet")
        if connection.status == psutil.CONN_LISTEN
    }


def running_with(output: Path) -> list[psutil.Process]:
    return [p for p in psutil.process_iter(["cmdline"]) if str(output) in (p.info["cmdline"] or [])]
