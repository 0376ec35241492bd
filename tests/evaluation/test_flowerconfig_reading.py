"""Flower apps as people write them: every spelling and layout gives the same method card."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from evaluation.findings import Finding, Severity
from evaluation.flowerconfig.code import strategy_in_code
from evaluation.method.card import DifferentialPrivacy, MethodCard
from evaluation.method.strategies import canonical
from tests.evaluation.configs import FEDERATION, VALUES, app, card_of, read, serious

# What the facts of shared/configs call each finding in words.
EXPECTED = {
    "error: static dataset replaced": "config.static_dataset",
    "error: SuperNodes differ (code needs 10)": "config.supernodes",
    "error: no static section (dataset.name stands in the editable part)": "config.static_missing",
    "error: not a Flower app (no [tool.flwr.app])": "config.not_flower_app",
    "error: not valid TOML, with line and column": "config.template",
}


def facts(card: MethodCard) -> dict[str, Any]:
    return {
        "base_model": card.base_model,
        "rounds": card.rounds,
        "fraction": card.fraction,
        "supernodes": card.clients,
        "lora_r": card.rank,
        "lora_alpha": card.alpha,
        "quantization": card.quantization,
        "static_dataset": card.static_dataset,
        "target_modules": None if card.target_modules is None else list(card.target_modules),
        "use_dora": card.use_dora,
        "strategy": card.strategy,
    }


def test_every_real_configuration_gives_its_facts_and_findings(shared: Path) -> None:
    expected = json.loads((shared / "configs" / "expected.json").read_text())
    assert expected
    for name, fact in expected.items():
        content = (shared / "configs" / name).read_bytes()
        card, findings = read(content, fact.get("challenge", "general-nlp"))
        assert serious(findings) == [("error", EXPECTED[text]) for text in fact["findings"]], name
        if card is not None:
            assert facts(card) == {key: fact[key] for key in facts(card)}, name
        else:
            assert "base_model" not in fact, name


def test_notes_on_real_configurations_name_what_is_assumed_and_unknown(shared: Path) -> None:
    def notes(name: str, challenge: str) -> list[Finding]:
        found = read((shared / "configs" / name).read_bytes(), challenge)[1]
        return [finding for finding in found if finding.severity is Severity.NOTE]

    (assumed,) = notes("flower_template_general_nlp_2026.toml", "general-nlp")
    assert assumed.code == "config.supernodes_assumed"
    (unknown,) = notes("datax_finance.toml", "finance")
    assert (unknown.code, unknown.location) == (
        "config.unknown_keys",
        "pyproject.toml: line 40, tool.flwr.app.config.model.seq-length",
    )


REFERENCE = card_of(app())
TABLES = """\
[tool.flwr.app.config.strategy]
fraction-train = 0.1
[tool.flwr.app.config]
num_server_rounds = 100
[tool.flwr.app.config.model]
name = "org/model-7B"
quantization = 4
lora = {peft_lora_r = 8, peft_lora_alpha = 16}
[tool.flwr.app.config.static.dataset]
name = "flwrlabs/alpaca-gpt4"
[tool.flwr.app.config.train]
learning-rate-max = 5e-5
learning-rate-min = 1e-6
seq-length = 512
[tool.flwr.app.config.train.training_arguments]
per_device_train_batch_size = 16
max-steps = 10
[tool.flwr.federations.local-simulation.options]
num_supernodes = 20
[tool.flwr.app.components]
serverapp = "a:b"
"""


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(TABLES, id="tables in odd order"),
        pytest.param(app().replace("fraction-fit", "fraction-train"), id="fraction-train"),
        pytest.param(app().replace("\n", "\r\n"), id="CRLF"),
        pytest.param(app(VALUES.replace("model.name", '"model.name"')), id="quoted key with dots"),
        pytest.param(app(VALUES.replace("num-server-rounds = 100", "num-server-rounds = 100.0")), id="100.0"),
    ],
)
def test_layouts_mean_the_same(text: str) -> None:
    assert card_of(text) == REFERENCE


def test_the_layout_before_flower_1_10_is_read_and_noted() -> None:
    for table in ("flower", "tool.flwr"):
        old = app(federation="").replace("tool.flwr.app", table)
        old += f"\n[{table}.engine.simulation.supernode]\nnum = 20\n"
        card, findings = read(old)
        assert card == REFERENCE
        assert [finding.code for finding in findings] == ["config.old_layout"]


@pytest.mark.parametrize(
    ("more", "field", "value"),
    [
        ('strategy.name = "FedAvg"', "strategy", "fedavg"),
        ('strategy.name = "Fed-Prox"', "strategy", "fedprox"),
        ('strategy._target_ = "flwr.server.strategy.FedAdam"', "strategy", "fedadam"),
        ('strategy.class = "flwr.serverapp.strategy:FedAvgM"', "strategy", "fedavgm"),
        ('aggregation = "FlexLoRA"', "strategy", "flexlora"),
        ("use_flexlora = 1", "strategy", "flexlora"),
        ("strategy.use-flexlora = true", "strategy", "flexlora"),
        ('use-ffa-lora = "yes"', "strategy", "ffalora"),
        ("use-flexlora = 0", "strategy", None),
        ('strategy.name = "fedavg"\nuse-flexlora = false', "strategy", "fedavg"),
        ('strategy.name = "house-blend"', "strategy", "house-blend"),
        ("model.lora.peft-use-dora = true", "use_dora", True),
        ("model.lora.use_dora = 0", "use_dora", False),
        ('model.lora.dora = "True"', "use_dora", True),
        ("use-dora = true", "use_dora", True),
        ('model.lora.modules = "q_proj,v_proj"', "target_modules", ("q_proj", "v_proj")),
        ('model.lora.target-modules = "q_proj v_proj, q_proj"', "target_modules", ("q_proj", "v_proj")),
        ("model.lora.target_modules = ['q_proj', 'v_proj']", "target_modules", ("q_proj", "v_proj")),
        ('model.lora.peft-lora-target-modules = "all-linear"', "target_modules", ("all-linear",)),
        ("lora.target-modules = \"['q_proj', 'v_proj']\"", "target_modules", ("q_proj", "v_proj")),
        ('lora-target-modules = "[q_proj, v_proj]"', "target_modules", ("q_proj", "v_proj")),
        (r"model.lora.targets = '.*\.(q|v)_proj'", "target_modules", (r".*\.(q|v)_proj",)),
        ('model.lora.modules = ""', "target_modules", None),
        ("model.lora.peft-lora-dropout = 0.075", "dropout", 0.075),
        ('model.lora.peft-type = "lora"', "peft_type", "LORA"),
        ('train.training-arguments.optim = "paged_adamw_8bit"', "optimizer", "paged_adamw_8bit"),
        ("train.training-arguments.gradient-accumulation-steps = 4", "gradient_accumulation", 4),
        ("strategy.min-train-nodes = 3", "clients_per_round", 3),
        ("strategy.clients-per-round = 5", "clients_per_round", 5),
        ("strategy.proximal-mu = 1.0", "strategy_options", (("proximal_mu", 1.0),)),
        ("dp.noise-multiplier = 1.1\ndp.clipping-norm = 0.5", "differential_privacy",
         DifferentialPrivacy(1.1, 0.5)),
        ("use-dp = false\ndp.epsilon = 8", "differential_privacy", None),
        ("privacy.enabled = true\nprivacy.target-epsilon = 8", "differential_privacy",
         DifferentialPrivacy(epsilon=8.0)),
    ],
)  # fmt: skip
def test_a_value_is_found_in_its_spellings(more: str, field: str, value: object) -> None:
    card, findings = read(app(more=more))
    assert card is not None
    assert getattr(card, field) == value
    assert serious(findings) == []


@pytest.mark.parametrize(
    ("line", "bits"),
    [
        ("model.quantization = 8", 8),
        ('model.quantization = "4bit"', 4),
        ('model.quantization = "NF4"', 4),
        ('model.quantization = "none"', 0),
        ("model.quantization = false", 0),
        ("model.load-in-8bit = true", 8),
        ('model.quantization = "bf16"', 16),
    ],
)
def test_quantisation_is_read_as_bits(line: str, bits: int) -> None:
    assert card_of(app(VALUES.replace("model.quantization = 4", line))).quantization == bits


def test_epochs_decide_where_steps_are_switched_off() -> None:
    text = app(
        VALUES.replace("max-steps = 10", "max-steps = -1"),
        more="train.training-arguments.num-train-epochs = 3",
    )
    card = card_of(text)
    assert (card.local_steps, card.local_epochs) == (None, 3)


def test_one_learning_rate_is_first_and_last() -> None:
    values = VALUES.replace(
        "train.learning-rate-max = 5e-5\ntrain.learning-rate-min = 1e-6", "train.lr = 2e-4"
    )
    card = card_of(app(values))
    assert (card.learning_rate_max, card.learning_rate_min) == (2e-4, 2e-4)


@pytest.mark.parametrize(
    ("fraction", "clients", "sampled"),
    [("0.1", 20, 2), ("0.29", 50, 14), ("1", 20, 20), ("0.04", 50, 2), ("0.02", 50, 2), ("0.15", 20, 3)],
)
def test_clients_a_round_are_those_that_flower_asks(fraction: str, clients: int, sampled: int) -> None:
    text = app(VALUES.replace("0.1", fraction), federation=FEDERATION.replace("20", str(clients)))
    card, findings = read(text, None)
    assert card is not None and card.clients_per_round == sampled
    assert ("config.minimum_clients" in {f.code for f in findings}) == (int(clients * float(fraction)) < 2)


def test_the_default_federation_decides() -> None:
    federations = """
[tool.flwr.federations]
default = "here"
[tool.flwr.federations.other]
options.num-supernodes = 10
[tool.flwr.federations.remote]
address = "example.org:9093"
[tool.flwr.federations.here]
options.num-supernodes = 20
"""
    assert card_of(app(federation=federations)).clients == 20


def test_supernodes_in_the_configuration_count_where_no_federation_says() -> None:
    card, findings = read(app(more="num-supernodes = 50", federation=""), "general-nlp")
    assert card is not None and card.clients == 50
    assert serious(findings) == [("error", "config.supernodes")]


def test_an_old_number_of_clients_beside_the_federation_is_a_conflict() -> None:
    _, findings = read(app(more="num-clients = 50"))
    assert serious(findings) == [("warning", "config.conflict")]


@pytest.mark.parametrize(
    ("sources", "strategy"),
    [
        (["from flwr.server.strategy import FedAvg\nstrategy = FedAvg(fraction_fit=0.1)"], "fedavg"),
        (["class FlowerTuneLlm(FedAvg): pass", "strategy = FlowerTuneLlm(1)"], "fedavg"),
        (["class A(strategy.FedProx): pass\nclass B(A): pass", "app = B()"], "fedprox"),
        (["class FlexLoRA(FedAvg): pass", "s = FlexLoRA()"], "flexlora"),
        (["class A(FedAvg): pass"], None),
        (["s = FedAvg() if x else FedProx()"], None),
        (["class A(B): pass\nclass B(A): pass\nA()"], None),
        (["fedavg(1)\nprint('FedAvg()')"], None),
        (["this is not python ("], None),
        (["(" * 5000], None),
        ([], None),
    ],
)
def test_the_strategy_is_found_in_code_that_is_never_run(sources: list[str], strategy: str | None) -> None:
    assert strategy_in_code(sources) == strategy


def test_names_of_strategies_have_one_spelling() -> None:
    for name in (
        "FedAvg",
        "fed_avg",
        "fed-avg",
        "flwr.server.strategy.FedAvg",
        "CustomFedAvg",
        "FedAvgStrategy",
    ):
        assert canonical(name) == "fedavg", name
    assert canonical("My own idea") == "my own idea"


def test_a_card_is_stored_and_shown() -> None:
    card = card_of(
        app(more='strategy.name = "fedprox"\nstrategy.proximal-mu = 1.0\ndp.epsilon = 8\nlora.modules = "q"')
    )
    stored = json.loads(json.dumps(card.to_json()))
    assert MethodCard.from_json(stored) == card
    shown = dict(card.rows())
    assert shown["Strategy"] == "FedProx (proximal_mu 1)"
    assert shown["Clients"] == "20, 2 a round"
    assert shown["PEFT"] == "LoRA, rank 8, α 16"
    assert shown["Differential privacy"] == "ε 8"
    assert MethodCard().rows() == ()


def test_findings_name_the_line_of_the_key() -> None:
    text = app(VALUES + '# a = "\n' + 'note = """\n[x]\na = 1\n"""\nmodel.lora.peft-lora-dropout = 7\n')
    line = text.split("\n").index("model.lora.peft-lora-dropout = 7") + 1
    (finding,) = (f for f in read(text)[1] if f.severity is Severity.ERROR)
    assert finding.location == (
        f"pyproject.toml: line {line}, tool.flwr.app.config.model.lora.peft-lora-dropout"
    )
