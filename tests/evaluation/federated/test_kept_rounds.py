"""Adapters of rounds on the way, and what a run scored against what it had sent by then."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from safetensors.numpy import load_file

from evaluation.errors import DataError
from evaluation.federated import rounds
from evaluation.federated.config import FederatedConfig
from evaluation.federated.devices import Devices
from evaluation.federated.job import prepare
from evaluation.federated.server_app import federate
from evaluation.running.curve import Point, Spent, best_within, first_to_reach, kept_adapters

from .loopback import LoopbackGrid


def test_every_k_th_adapter_is_kept_with_what_had_been_sent(config: FederatedConfig, tmp_path: Path) -> None:
    config = replace(config, rounds=5, keep_every=2, devices=Devices(speeds=(0.5,)))
    output = tmp_path / "out"
    federate(LoopbackGrid(3), prepare(config, output, lambda _event: None))
    kept = kept_adapters(output)
    measured = json.loads((output / "training.json").read_text())["rounds"]
    a_round = measured[0]["bytes_down"] + measured[0]["bytes_up"]
    assert [(one.spent.round, one.spent.bytes, one.spent.simulated_time) for one in kept] == [
        (2, 2 * a_round, 8.0),
        (4, 4 * a_round, 16.0),
        (5, 5 * a_round, 20.0),
    ]
    assert [one.spent.joules for one in kept] == [None] * 3
    shorter = tmp_path / "shorter"
    constant = replace(config, schedule="constant", learning_rate_min=config.learning_rate)
    federate(LoopbackGrid(3), prepare(constant, tmp_path / "constant", lambda _event: None))
    federate(LoopbackGrid(3), prepare(replace(constant, rounds=2), shorter, lambda _event: None))
    alike = [
        load_file(folder / "adapter_model.safetensors")
        for folder in (tmp_path / "constant/rounds/2", shorter)
    ]
    assert all((alike[0][name] == alike[1][name]).all() for name in alike[0])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["constant", "out", "shorter"]


def test_a_run_that_was_interrupted_has_the_adapters_kept_before(
    config: FederatedConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config, state = replace(config, rounds=3, keep_every=1), tmp_path / "state"
    one_round = rounds._round

    def broken(federation: object, before: rounds.Progress) -> rounds.Progress:
        if before.round == 2:
            raise KeyboardInterrupt
        return one_round(federation, before)  # type: ignore[arg-type]

    monkeypatch.setattr(rounds, "_round", broken)
    with pytest.raises(KeyboardInterrupt):
        federate(LoopbackGrid(3), prepare(config, tmp_path / "out", lambda _event: None, state=state))
    monkeypatch.undo()
    federate(
        LoopbackGrid(3), prepare(config, tmp_path / "out", lambda _event: None, state=state, resume=True)
    )
    assert [one.spent.round for one in kept_adapters(tmp_path / "out")] == [1, 2, 3]


def point(number: int, score: float, sent: int, joules: float | None = None) -> Point:
    return Point.of(Spent(number, sent, joules, None), score, None)


def test_the_best_score_within_a_budget_and_the_cost_to_a_target() -> None:
    points = [point(1, 0.3, 10), point(2, 0.6, 20), point(3, 0.6, 30), point(4, 0.8, 40)]
    assert best_within(points, 35, lambda one: one.bytes) == points[1]
    assert best_within(points, 5, lambda one: one.bytes) is None
    assert best_within(points, 5, lambda one: one.joules) is None
    assert first_to_reach(points, 0.5) == points[1]
    assert first_to_reach(points, 0.9) is None
    assert first_to_reach([point(1, sum([0.7] * 3) / 3, 10)], 0.7) is not None


def test_a_folder_that_is_no_run_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds no finished run"):
        kept_adapters(tmp_path)
