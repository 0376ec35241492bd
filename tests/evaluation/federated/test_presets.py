"""What a run is without more said: presets, and what the command line's words and files change of them."""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from pathlib import Path

import pytest

from evaluation.errors import EvaluationError, UnknownNameError
from evaluation.federated import options, presets
from evaluation.federated.__main__ import main
from evaluation.federated.checks import findings
from evaluation.federated.config import PEFT_DEFAULT, Partition, Privacy
from evaluation.findings import has_errors
from evaluation.method.row_form import BOTH, RowForm, columns_of
from evaluation.method.strategies import STRATEGIES
from evaluation.rules import challenges

from .test_settings import run_with

HERE = str(Path(__file__).parent)
"""A folder that is there, for the base model that is named and never read."""


def asked(*words: str) -> argparse.Namespace:
    return options.parser().parse_args(list(words))


@pytest.mark.parametrize("challenge", challenges.CHALLENGES.values(), ids=lambda challenge: challenge.slug)
def test_a_template_does_what_the_public_app_does(challenge: challenges.Challenge) -> None:
    (config,) = options.runs(asked("--challenge", challenge.slug, "--model", HERE))
    assert config.form == RowForm("alpaca", columns_of(challenge.slug), learn_end=False)
    assert (config.dropout, config.target_modules, config.adapter) == (0.075, (PEFT_DEFAULT,), "lora")
    assert not (config.draw_anew or config.group_by_length or config.learn_end_token)


def test_the_papers_strategies_have_the_papers_options() -> None:
    words = ("--preset", "paper", "--challenge", "finance", "--model", HERE, "--strategy")
    (adam,), (moment,), (prox,) = (
        options.runs(asked(*words, name)) for name in ("fedadam", "fedavgm", "fedprox")
    )
    assert (adam.effective_options["eta"], prox.effective_options["proximal-mu"]) == (0.1, 1.0)
    assert moment.effective_options == {"server-learning-rate": 1.0, "server-momentum": 0.0}
    (own,) = options.runs(asked(*words, "fedavgm", "--strategy-option", "server-momentum=0.5"))
    assert own.effective_options == {"server-learning-rate": 1.0, "server-momentum": 0.5}
    (flex,) = options.runs(asked(*words, "flexlora"))
    assert (flex.adapter, has_errors(findings(flex))) == ("dora", False)


@pytest.mark.parametrize("challenge", challenges.CHALLENGES.values(), ids=lambda challenge: challenge.slug)
def test_without_settings_a_run_is_the_challenges_template(challenge: challenges.Challenge) -> None:
    (config,) = options.runs(asked("--challenge", challenge.slug, "--model", HERE))
    assert not has_errors(findings(config, 1000))
    assert (config.clients, config.clients_per_round) == (
        challenge.clients,
        challenge.baseline_clients_per_round,
    )
    assert (config.strategy, config.rounds, config.precision, config.rank) == ("fedavg", 200, "fp4", 32)
    assert config.base_model_id == Path(HERE).name


def test_the_papers_protocol_follows_the_challenge() -> None:
    (config,) = options.runs(asked("--preset", "paper", "--challenge", "code", "--model", HERE))
    assert (config.adapter, config.rank, config.alpha, config.dropout) == ("dora", 32, 64, 0.075)
    assert (config.rounds, config.clients, config.clients_per_round) == (15, 10, 2)
    assert config.train_data.name == "code.jsonl"


def test_the_small_grid_has_every_strategy_and_each_can_run() -> None:
    configs = options.runs(asked("--preset", "cpu-small"))
    assert [config.strategy for config in configs] == list(STRATEGIES)
    assert not any(has_errors(findings(config, 100)) for config in configs)
    for preset in ("cpu-small", "cpu-one"):
        alone = [options.runs(asked("--preset", preset, "--strategy", name)) for name in STRATEGIES]
        assert [config for (config,) in alone] == configs


@pytest.mark.parametrize("name", presets.PRESETS)
def test_every_preset_is_a_run_without_errors(name: str) -> None:
    for config in options.runs(asked("--preset", name, "--model", HERE)):
        assert not has_errors(findings(config, 1000))


def test_a_training_record_is_a_file_of_settings_for_a_model_and_rows_that_are_named(tmp_path: Path) -> None:
    start = run_with(challenge="finance", instruction_columns=BOTH).settled()
    settings = {k: v for k, v in start.as_dict().items() if k not in ("model", "train_data")}
    path, rows = tmp_path / "training.json", tmp_path / "finance.jsonl"
    path.write_text(json.dumps({"challenge": "finance", "config": settings}))
    rows.write_text('{"instruction": "a", "output": "b"}')
    words = ["--config", str(path), "--model", HERE]
    with pytest.raises(EvaluationError, match="where it lies on this machine: --train-data"):
        options.runs(asked(*words))
    (config,) = options.runs(asked(*words, "--train-data", str(tmp_path)))
    assert config == replace(start, model=Path(HERE), train_data=rows)


def test_what_is_to_be_known_of_a_run_is_said_before_it_starts(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    words = [
        "--preset",
        "paper",
        "--strategy",
        "fedavgm",
        "--model",
        str(tmp_path),
        "--output",
        str(tmp_path / "o"),
    ]
    assert main(words) == 2
    said = capsys.readouterr().err.splitlines()
    assert said[0] == "note: With server-learning-rate 1, server-momentum 0 FedAvgM is FedAvg."
    assert said[1].startswith("error: there is no base model in")


def test_options_change_a_file_of_settings(tmp_path: Path) -> None:
    path = tmp_path / "run.json"
    path.write_text(json.dumps(run_with(strategy="fedprox").as_dict()))
    words = [
        "--config", str(path), "--rounds", "3", "--strategy-option", "proximal-mu=0.5", "--fraction", "0.5",
        "--learning-rate", "0.1", "--partition", "size", "--partition-alpha", "0.3",
        "--noise-multiplier", "2",
    ]  # fmt: skip
    (config,) = options.runs(asked(*words))
    assert config == run_with(
        strategy="fedprox", rounds=3, strategy_options=(("proximal-mu", 0.5),), clients_per_round=10,
        learning_rate=0.1, learning_rate_min=0.1, partition=Partition("size", 0.3),
        privacy=Privacy(noise_multiplier=2.0),
    )  # fmt: skip


def test_options_of_another_strategy_are_dropped_with_it(tmp_path: Path) -> None:
    path = tmp_path / "run.json"
    given = run_with(strategy="fedprox", strategy_options=(("proximal-mu", 0.5),), privacy=Privacy())
    path.write_text(json.dumps(given.as_dict()))
    words = ("--config", str(path), "--strategy", "fedavg", "--clipping", "none")
    assert options.runs(asked(*words)) == [run_with()]
    (other,) = options.runs(
        asked(
            *words[:2],
        )
    )
    assert other == given


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "say what to train"),
        (["--challenge", "finance"], "--model names no base model"),
        (["--preset", "cpu-smal"], "did you mean cpu-small"),
        (["--preset", "cpu-one", "--fraction", "1.5"], "fraction must be above 0"),
        (["--preset", "cpu-one", "--strategy-option", "mu"], "--strategy-option must be like"),
        (["--config", "/nowhere.json"], "cannot be read as JSON"),
    ],
)
def test_words_that_cannot_be_followed_are_one_line(words: list[str], message: str) -> None:
    with pytest.raises((EvaluationError, UnknownNameError), match=message):
        options.runs(asked(*words))
