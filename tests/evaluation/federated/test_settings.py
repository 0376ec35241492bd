"""What a run's settings mean: what is wrong with them, and the configuration that others read."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evaluation import rules
from evaluation.checkpoints import base_model_tensors
from evaluation.errors import EvaluationError
from evaluation.federated.app_file import pyproject
from evaluation.federated.checks import findings
from evaluation.federated.config import (
    BEFORE_TEMPLATES,
    THREADS,
    FederatedConfig,
    Partition,
    Privacy,
)
from evaluation.federated.data import TrainingData
from evaluation.federated.devices import Devices
from evaluation.federated.planned import planned_bytes
from evaluation.findings import Finding, has_errors
from evaluation.flowerconfig import inspect_app_config
from evaluation.method.card import MethodCard
from evaluation.method.communication import adapter_parameters, derive
from evaluation.method.row_form import BOTH, RowForm
from evaluation.method.strategies import STRATEGIES, canonical

NAMES = {
    "ffa-lora": "ffalora",
    "lora-fair": "lorafair",
    "fedsa-lora": "fedsalora",
    "fedex-lora": "fedex",
    "local-only": "localonly",
}


def card_of(config: FederatedConfig) -> tuple[MethodCard, tuple[Finding, ...]]:
    text = pyproject(config, TrainingData("rows.jsonl", (), "0" * 64, demonstration=False))
    card, found = inspect_app_config(text.encode(), rules.of(config.challenge))
    assert card is not None, found
    return card, found


def run_with(**changes: object) -> FederatedConfig:
    start = FederatedConfig(
        challenge="medical", strategy="fedavg", model=Path("/m"), base_model_id="org/m",
        train_data=Path("/d"), clients=20, clients_per_round=2, rounds=7, local_steps=3, batch_size=4,
        sequence_length=64, learning_rate=3e-4, learning_rate_min=1e-5, rank=4, alpha=8,
        target_modules=("q_proj", "v_proj"), precision="bf16", seed=3,
    )  # fmt: skip
    return replace(start, **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_the_written_app_reads_back_as_the_method_that_it_was(strategy: str) -> None:
    values = tuple((option.name, option.default) for option in STRATEGIES[strategy].options)
    config = run_with(strategy=strategy, strategy_options=tuple(sorted(values)), dropout=0.1)
    card, found = card_of(config)
    assert [finding.code for finding in found] == []
    assert card.strategy == NAMES.get(strategy, strategy) == canonical(STRATEGIES[strategy].title)
    assert dict(card.strategy_options) == {name.replace("-", "_"): value for name, value in values}
    assert (card.clients, card.clients_per_round, card.rounds) == (20, 2, 7)
    assert (card.local_steps, card.batch_size, card.sequence_length, card.quantization) == (3, 4, 64, 16)
    assert (card.learning_rate_max, card.learning_rate_min) == (3e-4, 1e-5)
    assert (card.rank, card.alpha, card.dropout, card.use_dora) == (4, 8, 0.1, False)
    assert card.target_modules == ("q_proj", "v_proj")
    assert card.differential_privacy is None
    assert card.base_model == "org/m"


def test_dora_privacy_partition_and_evaluation_read_back_without_a_complaint() -> None:
    privacy = Privacy("adaptive", clipping_norm=0.3, noise_multiplier=0.8, delta=1e-4)
    config = run_with(
        adapter="dora", privacy=privacy, partition=Partition("dirichlet", 0.5, "output"), evaluate_every=2,
        held_out=8, schedule="constant", learning_rate_min=3e-4,
    )  # fmt: skip
    card, found = card_of(config)
    assert found == ()
    assert card.use_dora
    assert card.differential_privacy is not None
    assert card.differential_privacy.clipping_norm == 0.3
    assert card.differential_privacy.noise_multiplier == 0.8
    assert card.differential_privacy.delta == 1e-4


def test_clients_that_differ_read_back_and_leave_the_communication_untold() -> None:
    devices = Devices(ranks=(2, 4), steps=(1, 3), speeds=(1.0, 0.5), deadline=4.0, drop_out=0.25)
    card, found = card_of(run_with(strategy="flexlora", devices=devices, compression="bf16"))
    assert found == ()
    assert card.differing == (
        "ranks 2,4, local steps 1,3, speeds 1.0,0.5, deadline 4.0, drop-out 0.25, updates as bf16"
    )
    assert derive(card, 1000) is None
    assert card_of(run_with())[0].differing is None


@given(st.integers(1, 60), st.data())
def test_the_communication_derived_from_the_written_app_is_that_of_the_clients_really_sampled(
    clients: int, data: st.DataObject
) -> None:
    """Flower asks two clients a round at least unless told otherwise: one a round must not become two."""
    per_round = data.draw(st.integers(1, clients))
    minimum = data.draw(st.integers(1, per_round))
    card, _ = card_of(run_with(clients=clients, clients_per_round=per_round, minimum_clients=minimum))
    derived = derive(card, 1000)
    assert derived is not None
    assert derived.total_bytes == 1000 * 4 * per_round * 7 * 2


def test_what_does_not_federate_communicates_nothing(base_model: Path) -> None:
    config = run_with(strategy="centralised")
    derived = derive(card_of(config)[0], 1000)
    assert derived is not None
    assert derived.total_bytes == 0 == planned_bytes(config, base_model_tensors(base_model))


def test_planned_bytes_count_what_each_strategy_sends(base_model: Path) -> None:
    """q is 16x16 and v 8x16 in both layers, so with rank 4 A has 256 numbers and B 192."""
    base = base_model_tensors(base_model)
    numbers = {
        "fedavg": (448 + 448) * 7,
        "ffa-lora": (192 + 192) * 7,
        "rolora": 448 * 7 + 192 * 4 + 256 * 3,
        "fedsa-lora": (256 + 256) * 7,
        "scaffold": 2 * (448 + 448) * 7,
    }
    for strategy, sent in numbers.items():
        assert planned_bytes(run_with(strategy=strategy), base) == sent * 4 * 2
    dora = run_with(adapter="dora")
    assert planned_bytes(dora, base) == (448 + 48) * 2 * 7 * 4 * 2
    assert adapter_parameters(card_of(dora)[0], base) == 448 + 48


@pytest.mark.parametrize(
    "config",
    [
        run_with(),
        run_with(privacy=Privacy(), partition=Partition("natural", column="subject"), held_out=3),
        run_with(strategy="fedprox", strategy_options=(("proximal-mu", 0.01),), adapter="dora"),
        run_with(devices=Devices((1, 4), (2,), (1.0, 0.25), 8.0, 0.1), compression="top-k", top_k=0.1),
    ],
)
def test_settings_survive_json_and_flowers_configuration(config: FederatedConfig) -> None:
    assert FederatedConfig.from_dict(json.loads(json.dumps(config.as_dict()))) == config
    assert FederatedConfig.from_run_config(config.run_config()) == config


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"rank": "8"}, "rank cannot be"),
        ({"rank": True}, "rank cannot be true"),
        ({"rounds": None}, "rounds cannot be null"),
        ({"partition": {"kind": 1}}, r"partition\.kind cannot be 1"),
        ({"partition": {"sort": "iid"}}, r"partition\.sort is no setting"),
        ({"strategy_options": {"proximal-mu": "a"}}, r"strategy_options\.proximal-mu cannot be"),
        ({"target_modules": "q_proj"}, "target_modules cannot be"),
        ({"colour": 1}, "colour is no setting of a run"),
    ],
)
def test_settings_of_the_wrong_type_are_named(change: dict[str, object], message: str) -> None:
    with pytest.raises(EvaluationError, match=message):
        FederatedConfig.from_dict(run_with().as_dict() | change)


def test_settings_stored_before_threads_were_one_have_the_default() -> None:
    values = run_with().as_dict()
    del values["threads"]
    assert FederatedConfig.from_dict(values).threads == THREADS


def test_a_missing_setting_is_named() -> None:
    values = run_with().as_dict()
    del values["rank"]
    with pytest.raises(EvaluationError, match="rank is missing"):
        FederatedConfig.from_dict(values)


@pytest.mark.parametrize(
    ("changes", "code", "place"),
    [
        ({"strategy": "ffa-lora", "adapter": "dora"}, "run.adapter", "adapter"),
        ({"strategy": "fedadam", "privacy": Privacy()}, "run.privacy", "privacy"),
        ({"strategy_options": (("mu", 1.0),)}, "run.strategy_option", "strategy_options.mu"),
        (
            {"strategy": "fedprox", "strategy_options": (("proximal-mu", -1.0),)},
            "run.strategy_option",
            "strategy_options.proximal-mu",
        ),
        (
            {"strategy": "fedprox", "strategy_options": (("proximal-mu", math.nan),)},
            "run.strategy_option",
            "strategy_options.proximal-mu",
        ),
        ({"learning_rate": math.nan}, "run.value", "learning_rate"),
        ({"schedule": "constant"}, "run.value", "learning_rate_min"),
        ({"minimum_clients": 3}, "run.value", "minimum_clients"),
        ({"evaluate_every": 1}, "run.value", "held_out"),
        ({"held_out": 5}, "run.value", "evaluate_every"),
        ({"dropout": 1.0}, "run.value", "dropout"),
        ({"devices": Devices(ranks=(2, 4))}, "run.value", "devices.ranks"),
        ({"strategy": "hetlora", "devices": Devices(ranks=(2, 5))}, "run.value", "devices.ranks"),
        ({"devices": Devices(steps=(0,))}, "run.value", "devices.steps"),
        ({"devices": Devices(speeds=(0.0,))}, "run.value", "devices.speeds"),
        ({"devices": Devices(drop_out=1.0)}, "run.value", "devices.drop_out"),
        ({"devices": Devices(deadline=2.0)}, "run.value", "devices.deadline"),
        ({"compression": "zip"}, "run.value", "compression"),
        ({"compression": "int8", "strategy": "flora"}, "run.value", "compression"),
        ({"top_k": 0.0}, "run.value", "top_k"),
        ({"template": "chatml"}, "run.value", "template"),
        ({"instruction_columns": ("output",)}, "run.value", "instruction_columns"),
        ({"partition": Partition("dirichlet", None, "output")}, "run.partition", "partition.alpha"),
        ({"partition": Partition("dirichlet", 1.0)}, "run.partition", "partition.column"),
        ({"partition": Partition("iid", 1.0)}, "run.partition", "partition.alpha"),
        ({"partition": Partition("odd")}, "run.value", "partition.kind"),
        ({"privacy": Privacy(delta=1.0)}, "run.privacy", "privacy.delta"),
        ({"target_modules": ("q_proj", "qkv")}, "run.target_modules", "target_modules"),
        ({"clients": 100}, "run.rows", "clients"),
        ({"rounds": 10_000, "rank": 4096, "clients_per_round": 20}, "communication.budget", "rounds"),
    ],
)
def test_a_problem_is_found_with_its_place(
    changes: dict[str, object], code: str, place: str, base_model: Path
) -> None:
    errors = [f for f in findings(run_with(**changes), 60, base_model_tensors(base_model)) if f.code == code]
    assert [finding.location for finding in errors] == [place]
    assert has_errors(errors)


@pytest.mark.parametrize(
    ("strategy", "options", "needed"),
    [
        ("krum", {}, 3),
        ("krum", {"num-malicious-nodes": 2.0}, 7),
        ("fedmedian", {}, 3),
        ("fedtrimmedavg", {}, 5),
        ("fedtrimmedavg", {"beta": 0.25}, 4),
        ("fedtrimmedavg", {"beta": 0.49}, 3),
    ],
)
def test_a_strategy_that_cannot_do_what_it_says_with_so_few_clients_is_refused(
    strategy: str, options: dict[str, float], needed: int
) -> None:
    run = run_with(strategy=strategy, strategy_options=tuple(options.items()), clients_per_round=needed - 1)
    (found,) = [finding for finding in findings(run) if finding.code == "run.strategy_clients"]
    assert f"at least {needed} clients a round, not {needed - 1}" in found.message
    enough = replace(run, clients_per_round=needed)
    assert not has_errors(findings(enough))
    assert enough.fewest_replies == needed


def test_a_trimmed_mean_that_never_trims_is_refused() -> None:
    run = run_with(strategy="fedtrimmedavg", strategy_options=(("beta", 0.0),), clients_per_round=20)
    assert any("needs a larger share a round" in finding.message for finding in findings(run))


@pytest.mark.parametrize(
    ("strategy", "options", "is_fedavg"),
    [
        ("fedavgm", {"server-momentum": 0.0}, True),
        ("fedavgm", {}, False),
        ("fedprox", {"proximal-mu": 0.0}, True),
        ("fedavg", {}, False),
    ],
)
def test_options_that_leave_nothing_but_fedavg_are_said(
    strategy: str, options: dict[str, float], is_fedavg: bool
) -> None:
    found = findings(run_with(strategy=strategy, strategy_options=tuple(options.items())))
    assert is_fedavg == any(finding.code == "run.strategy_is_fedavg" for finding in found)
    assert not has_errors(found)


def test_a_run_stored_before_there_were_templates_is_what_it_was() -> None:
    values = run_with().as_dict()
    for name in BEFORE_TEMPLATES:
        del values[name]
    config = FederatedConfig.from_dict(values)
    assert config.form == RowForm("fingpt", BOTH, learn_end=True)
    assert config.draw_anew and config.group_by_length


def test_a_settled_run_has_its_defaults_written_out() -> None:
    config = run_with(strategy="fedprox").settled()
    assert config.strategy_options == (("proximal-mu", 1.0),)
    assert config.instruction_columns == ("input",)
    card, _ = card_of(run_with(strategy="fedprox", precision="fp4"))
    assert dict(card.strategy_options) == {"proximal_mu": 1.0}
    assert (card.template, card.instruction_columns, card.quantization_type) == ("alpaca", ("input",), "fp4")
    assert (card.learn_end_token, card.draw_anew, card.group_by_length) == (False, False, False)
    assert card.training_rows == "rows.jsonl"
    assert MethodCard.from_json(json.loads(json.dumps(card.to_json()))) == card
    shown = dict(card.rows())
    assert shown["Training set"] == "rows.jsonl"
    assert shown["Row form"] == "Alpaca, instruction from input"
    assert shown["Quantisation"] == "4-bit, fp4"


def test_all_problems_are_found_at_once() -> None:
    wrong = run_with(strategy="fedavrg", challenge="medicine", precision="int8", rank=0, dropout=2.0)
    places = {finding.location for finding in findings(wrong)}
    assert places == {"strategy", "challenge", "precision", "rank", "dropout"}
