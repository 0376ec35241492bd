"""`python -m evaluation energy`: how well the energy of one evaluation repeats."""

from __future__ import annotations

import json
from itertools import count
from pathlib import Path

import pytest

from evaluation import gpus
from evaluation.__main__ import main
from evaluation.commands.status import Status
from evaluation.engines.scripted import ScriptedEngine
from evaluation.metering.meter import EnergyMeter
from evaluation.running import run


@pytest.fixture(autouse=True)
def own_meter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "EnergyMeter", lambda: EnergyMeter(tmp_path / "none", tmp_path / "energy"))


def energy(model: Path, *more: str) -> int:
    """Without a model: the answers come from files, which have none to these items."""
    for benchmark in ("fpb", "fiqa", "tfns"):
        (model / f"{benchmark}.jsonl").write_text('{"id": "another", "completion": "positive"}\n')
    return main(
        ["energy", "--model", str(model), "--challenge", "finance", "--data", "demonstration",
         "--limit", "2", "--engine", "scripted", "--quiet", *more]
    )  # fmt: skip


def test_an_evaluation_is_repeated_and_its_energy_shown_with_its_spread(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    counter = count(0, 10)
    monkeypatch.setattr(gpus, "energy_joules", lambda _: next(counter))
    monkeypatch.setattr(gpus, "name_of", lambda _: "H100")
    monkeypatch.setattr(gpus, "visible", lambda: ())
    monkeypatch.setattr(ScriptedEngine, "gpu_uuids", lambda _: ("GPU-1",))
    monkeypatch.setattr(ScriptedEngine, "generates", True)
    assert energy(tmp_path, "--times", "3", "--output", str(tmp_path / "out.json")) == Status.INCOMPLETE
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].split() == ["fpb", "2", "5", "±", "0.0%", "–"]
    assert lines[4].split() == ["all", "6", "5", "±", "0.0%", "–"]
    assert lines[5:] == [
        "3 evaluations, mean ± standard deviation; idle power is not known", "meter: NVML of H100"
    ]  # fmt: skip
    written = json.loads((tmp_path / "out.json").read_text())
    assert written["benchmarks"]["fiqa"]["joules"] == [10, 10, 10]


def test_where_nothing_counts_it_says_so_after_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert energy(tmp_path) == Status.FAILED
    assert "no energy was measured: nothing here counts it" in capsys.readouterr().err
