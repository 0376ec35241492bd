"""Configurations that break a rule or make no sense: each problem has its own finding, all in one pass."""

from __future__ import annotations

from pathlib import Path

import pytest

import evaluation.federated
from evaluation.findings import has_errors
from evaluation.flowerconfig import challenge_of
from evaluation.rules.challenges import CHALLENGES
from tests.evaluation.configs import APP, FEDERATION, STATIC, VALUES, app, read, serious

ERROR, WARNING = "error", "warning"


def test_a_valid_configuration_has_no_findings() -> None:
    assert read(app())[1] == ()


def changed(before: str, after: str) -> str:
    assert before in app()
    return app().replace(before, after)


PROBLEMS: list[tuple[str, str, str, str, str]] = [
    # what it is, the text, severity and code of its finding, a part of the place
    # the file
    ("empty file", "", ERROR, "file.empty", ""),
    ("another tool's file", "[default]\nbatch_size = 16\n", ERROR, "config.not_flower_app", ""),
    ("no config", "[tool.flwr.app]\npublisher = 'x'\n", ERROR, "config.no_app_config", "line 1"),
    ("config is no table", "[tool.flwr.app]\nconfig = 3\n", ERROR, "config.no_app_config", "line 1"),
    ("tool is no table", "tool = 1\n", ERROR, "config.not_flower_app", ""),
    ("old, config no table", "[flower]\nconfig = 1\n", ERROR, "config.no_app_config", "line 1"),
    ("Python's True", app().replace("true", "True") + "a = True\n", ERROR, "config.syntax", "line"),
    ("table twice", app() + "[tool.flwr.app.config]\n", ERROR, "config.syntax", "line"),
    ("table made a value", app(more="model = 1"), ERROR, "config.syntax", "line"),
    ("key twice", app(more="model.name = 'b'"), ERROR, "config.syntax", "line"),
    ("NUL", app() + "\0", ERROR, "config.syntax", "line"),
    ("deep arrays", app(more="a = " + "[" * 90 + "]" * 90), ERROR, "config.nesting", ""),
    ("deep tables", app(more="a = " + "{b=" * 90 + "1" + "}" * 90), ERROR, "config.nesting", ""),
    ("long array", app(more="a = [" + "1," * 6000 + "]"), ERROR, "config.too_many_values", ""),
    ("large file", app(more="#" * 300_000), ERROR, "config.too_large", ""),
    ("integer of 5,000 digits", app(more="a = " + "9" * 5000), ERROR, "config.syntax", ""),
    # templates
    ("Jinja as a value",
     changed("quantization = 4", "quantization = {{ q }}"),
     ERROR, "config.template", "column"),
    ("Jinja in a text",
     changed('"org/model-7B"', '"{{ cookiecutter.base_model }}"'),
     ERROR, "config.template", "config.model.name"),
    ("$fraction_fit", changed("0.1", "$fraction_fit"), ERROR, "config.template", "column"),
    ("$dataset_name",
     changed('"flwrlabs/alpaca-gpt4"', '"$dataset_name"'),
     ERROR, "config.template", "dataset.name"),
    ("Jinja block", changed("100", "{% if x %}1{% endif %}"), ERROR, "config.template", "column"),
    # values
    ("no rounds", changed("= 100", "= 0"), ERROR, "config.value", "num-server-rounds"),
    ("negative rounds", changed("= 100", "= -3"), ERROR, "config.value", "num-server-rounds"),
    ("10.5 rounds", changed("= 100", "= 10.5"), ERROR, "config.value", "num-server-rounds"),
    ("true rounds", changed("= 100", "= true"), ERROR, "config.value", "num-server-rounds"),
    ("rounds as a text", changed("= 100", '= "100"'), ERROR, "config.value", "num-server-rounds"),
    ("a date of rounds", changed("= 100", "= 2026-01-01"), ERROR, "config.value", "num-server-rounds"),
    ("10^400 rounds", changed("= 100", "= " + "9" * 400), ERROR, "config.value", "num-server-rounds"),
    ("a list of rounds", changed("= 100", "= [1]"), ERROR, "config.value", "num-server-rounds"),
    ("more than all", changed("0.1", "1.5"), ERROR, "config.value", "fraction-fit"),
    ("nobody", changed("0.1", "0.0"), ERROR, "config.value", "fraction-fit"),
    ("fraction nan", changed("0.1", "nan"), ERROR, "config.value", "fraction-fit"),
    ("rate inf", changed("5e-5", "inf"), ERROR, "config.value", "learning-rate-max"),
    ("rate nan", changed("5e-5", "-nan"), ERROR, "config.value", "learning-rate-max"),
    ("rate is a time", changed("5e-5", "07:32:00"), ERROR, "config.value", "learning-rate-max"),
    ("rate overflows", changed("5e-5", "1e999"), ERROR, "config.value", "learning-rate-max"),
    ("rank 0", changed("lora-r = 8", "lora-r = 0"), ERROR, "config.value", "peft-lora-r"),
    ("3 bits", changed("quantization = 4", "quantization = 3"), ERROR, "config.value", "quantization"),
    ("base model is a number", changed('"org/model-7B"', "7"), ERROR, "config.value", "model.name"),
    ("NUL in a name", changed('"org/model-7B"', '"a\\u0000b"'), ERROR, "config.value", "model.name"),
    ("direction override", changed('"org/model-7B"', '"\\u202Eevil"'), ERROR, "config.value", "model.name"),
    ("long name", changed('"org/model-7B"', '"' + "x" * 500 + '"'), ERROR, "config.value", "model.name"),
    ("modules are numbers", app(more="model.lora.modules = [1, 2]"), ERROR, "config.value", "modules"),
    ("300 modules",
     app(more="model.lora.modules = " + str(["q"] * 3 + [f"m{i}" for i in range(300)])),
     ERROR, "config.value", "modules"),
    ("DoRA perhaps", app(more="use-dora = 'perhaps'"), ERROR, "config.value", "use-dora"),
    ("option inf", app(more="strategy.proximal-mu = inf"), ERROR, "config.value", "proximal-mu"),
    ("SuperNodes as a text",
     changed("supernodes = 20", 'supernodes = "20"'),
     ERROR, "config.value", "num-supernodes"),
    # rules
    ("no static section", app(static=""), ERROR, "config.static_missing", ""),
    ("static is empty", app(static="[tool.flwr.app.config.static]"), ERROR, "config.static_missing", ""),
    ("static replaced",
     changed("flwrlabs/alpaca-gpt4", "someone/else"),
     ERROR, "config.static_dataset", "dataset.name"),
    ("another challenge's data",
     changed("flwrlabs/alpaca-gpt4", "flwrlabs/code-alpaca-20k"),
     ERROR, "config.static_dataset", "dataset.name"),
    ("static extended",
     app(static=STATIC + "dataset.split = 'test'"),
     WARNING, "config.static_extra", "dataset.split"),
    ("19 SuperNodes",
     changed("supernodes = 20", "supernodes = 19"),
     ERROR, "config.supernodes", "num-supernodes"),
    ("two data sets",
     app(more='dataset.name = "other/data"'),
     WARNING, "config.conflict", "config.dataset.name"),
    ("- and _ differ", app(more="num_server_rounds = 7"), WARNING, "config.conflict", "num_server_rounds"),
    ("two fractions",
     app(more="strategy.fraction-train = 0.5"),
     WARNING, "config.conflict", "fraction-train"),
    ("two strategies",
     app(more="use-flexlora = 1\nuse-fedprox = 1"),
     WARNING, "config.conflict", "use-fedprox"),
    ("no rounds", changed("num-server-rounds = 100\n", ""), WARNING, "config.missing", "app.config"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "severity", "code", "place"), [pytest.param(*rest, id=name) for name, *rest in PROBLEMS]
)
def test_a_problem_has_its_own_finding_with_a_place(text: str, severity: str, code: str, place: str) -> None:
    card, findings = read(text)
    assert (severity, code) in serious(findings), findings
    finding = next(f for f in findings if f.code == code)
    assert finding.location.startswith("pyproject.toml")
    assert place in finding.location
    assert finding.message.isprintable() and len(finding.message) < 1500
    if card is None:
        assert has_errors(findings)
    others = [c for s, c in serious(findings) if c != code]
    assert set(others) <= {"config.static_missing"}, findings


def test_all_problems_are_found_in_one_pass() -> None:
    text = (
        APP + "num-server-rounds = 0\nstrategy.fraction-fit = 2\nmodel.quantization = 5\ndataset.name = 'x'\n"
    )
    _, findings = read(text + FEDERATION.replace("20", "3"))
    assert serious(findings) == [
        ("error", "config.value"),
        ("error", "config.value"),
        ("error", "config.value"),
        ("error", "config.static_missing"),
        ("error", "config.supernodes"),
        ("warning", "config.missing"),
    ]


def test_a_wrong_value_is_reported_once_and_the_rest_is_read() -> None:
    card, findings = read(changed("0.1", "2.0"))
    assert [finding.code for finding in findings] == ["config.value"]
    assert card is not None and (card.fraction, card.rounds) == (None, 100)


def test_every_training_set_of_every_challenge_is_allowed() -> None:
    for challenge in CHALLENGES.values():
        for name in challenge.training_sets:
            text = app(
                static=STATIC.replace("flwrlabs/alpaca-gpt4", name),
                federation=FEDERATION.replace("20", str(challenge.clients)),
            )
            assert serious(read(text, challenge.slug)[1]) == [], name
            assert challenge_of(name.upper()) == challenge
    assert challenge_of("other/data") is None


def test_a_former_name_of_the_training_set_is_taken_with_a_note(shared: Path) -> None:
    text = (shared / "field" / "former_code_dataset.toml").read_bytes()
    _, findings = read(text, "code")
    notes = [finding for finding in findings if finding.code == "config.static_dataset"]
    assert [note.severity.value for note in notes] == ["note"] and serious(findings) == []
    assert "flwrlabs/code-alpaca-20k" in notes[0].message
    assert challenge_of("sahil2801/codealpaca-20K") == CHALLENGES["code"]


def test_the_finding_on_another_challenges_data_names_that_challenge() -> None:
    _, findings = read(changed("flwrlabs/alpaca-gpt4", "FinGPT/fingpt-sentiment-train"))
    assert "choose that challenge" in findings[0].message and "Finance" in findings[0].message


def test_without_a_challenge_no_rule_is_checked() -> None:
    assert read(app(VALUES, static="", federation=""), None)[1] == ()


def test_the_reference_app_keeps_the_rules() -> None:
    folder = Path(evaluation.federated.__file__).parent / "app"
    card, findings = read((folder / "pyproject.toml").read_bytes(), "finance")
    assert findings == ()
    assert card is not None and (card.strategy, card.clients_per_round, card.rounds) == ("fedavg", 5, 200)
