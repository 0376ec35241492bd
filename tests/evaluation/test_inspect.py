"""`python -m evaluation inspect`: an app's folder, its file or its adapter, checked as on submission."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from evaluation import rules
from evaluation.__main__ import main
from evaluation.checkpoints import ADAPTER_FILE
from evaluation.errors import DataError
from evaluation.inspection import Inspection, Known, KnownBase, inspect
from evaluation.inspection.folder import AppFiles, gather
from evaluation.rules import Rules
from tests.evaluation.adapters import base_model, config_document, lora_tensors, safetensors
from tests.evaluation.configs import VALUES, app

RULES = rules.of("general-nlp")
BASE = Known(base=KnownBase(tensors=base_model()))
VALID = app(
    VALUES.replace("org/model-7B", "Example/Tiny-Llama")
    .replace("lora-r = 8", "lora-r = 4")
    .replace("16", "8", 1)
)


def save_adapter(folder: Path, rank: int = 4, **config: object) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / ADAPTER_FILE).write_bytes(safetensors(lora_tensors(rank)))
    (folder / "adapter_config.json").write_text(json.dumps(config_document(r=rank, **config)))
    return folder


@pytest.fixture
def app_folder(tmp_path: Path) -> Path:
    """A Flower app after a run of 100 rounds."""
    folder = tmp_path / "my-app"
    package = folder / "app"
    package.mkdir(parents=True)
    (folder / "pyproject.toml").write_text(VALID)
    (package / "strategy.py").write_text("class FlowerTuneLlm(FedAvg):\n    pass\n")
    (package / "server_app.py").write_text("strategy = FlowerTuneLlm(fraction_fit=0.1)\n")
    for number in (5, 95, 100):
        save_adapter(folder / "results" / "2026-02-11_10-00-00" / f"peft_{number}")
    return folder


def look(path: Path, known: Known | None = None, binding: Rules = RULES) -> Inspection:
    """Inspect what is at a path."""
    return inspect(gather(path).material, binding, known or Known())


def located(path: Path) -> AppFiles:
    return gather(path).files


def codes(inspection: Inspection) -> list[str]:
    return [finding.code for finding in inspection.findings]


def run(*arguments: object) -> int:
    return main(["inspect", *map(str, arguments), "--challenge", "general-nlp"])


def test_a_folder_is_found_out_by_itself(app_folder: Path) -> None:
    inspection = look(app_folder, BASE)
    assert codes(inspection) == []
    assert located(app_folder).round == 100  # the highest number, not the last by letters
    assert inspection.card is not None and inspection.card.strategy == "fedavg"  # from the code
    assert inspection.adapter is not None
    assert inspection.communication is not None
    assert inspection.communication.total_bytes == inspection.adapter.parameters * 4 * 2 * 100 * 2


def test_of_several_runs_the_last_by_name_is_taken_and_noted(app_folder: Path) -> None:
    save_adapter(app_folder / "results" / "2026-02-12_09-00-00" / "peft_100")
    inspection = look(app_folder)
    adapter = located(app_folder).adapter
    assert adapter is not None and adapter.parent.name == "2026-02-12_09-00-00"
    assert codes(inspection) == ["app.several_runs"]


def test_folders_that_hold_no_results_are_passed_over(app_folder: Path) -> None:
    for name in (".venv", "node_modules", "__pycache__"):
        save_adapter(app_folder / name / "peft_999")
    (app_folder / "loop").symlink_to(app_folder)
    assert located(app_folder).round == 100


def test_a_checkpoint_of_another_round_is_a_warning(app_folder: Path) -> None:
    text = VALID.replace("num-server-rounds = 100", "num-server-rounds = 200")
    (app_folder / "pyproject.toml").write_text(text)
    assert codes(look(app_folder)) == ["app.round"]


def test_a_strategy_that_merges_a_residual_saves_a_larger_rank(app_folder: Path) -> None:
    save_adapter(app_folder / "results" / "2026-02-11_10-00-00" / "peft_100", rank=24, lora_alpha=24)
    text = VALID.replace("strategy.fraction-evaluate", 'strategy.name = "fedex"\nstrategy.fraction-evaluate')
    (app_folder / "pyproject.toml").write_text(text)
    inspection = look(app_folder)
    assert "config.adapter_differs" not in codes(inspection)
    assert inspection.communication is None


def test_an_adapter_of_another_run_is_a_warning_for_each_value(app_folder: Path) -> None:
    folder = app_folder / "results" / "2026-02-11_10-00-00" / "peft_100"
    save_adapter(folder, rank=2, lora_alpha=4, base_model_name_or_path="Other/Model")
    text = VALID.replace(
        "strategy.fraction-evaluate", 'model.lora.modules = "o_proj"\nstrategy.fraction-evaluate'
    )
    (app_folder / "pyproject.toml").write_text(text)
    inspection = look(app_folder)
    assert codes(inspection) == ["config.adapter_differs"] * 4
    places = {finding.location for finding in inspection.findings}
    assert places == {
        f"adapter_config.json: {key}"
        for key in ("r", "lora_alpha", "target_modules", "base_model_name_or_path")
    }


def test_a_local_copy_of_the_base_model_agrees(app_folder: Path) -> None:
    folder = app_folder / "results" / "2026-02-11_10-00-00" / "peft_100"
    for path in ("/data/models/tiny-llama", "/hub/models--a--b/snapshots/0abc", "./model"):
        save_adapter(folder, base_model_name_or_path=path)
        assert codes(look(app_folder)) == []


def test_the_log_is_found_and_compared(app_folder: Path) -> None:
    derived = look(app_folder).communication
    assert derived is not None
    log = app_folder / "comm_cost.txt"
    megabytes = derived.total_bytes / 1024**2
    log.write_text(f"Communication budget: used {megabytes:.4f} MB (+0.00 MB this round) / 200,000 MB")
    assert codes(look(app_folder)) == []
    log.write_text("2.9 GB")
    (finding,) = look(app_folder).findings
    assert (finding.code, finding.location) == ("communication.differs", "comm_cost.txt")
    log.write_text("900 GB")
    assert codes(look(app_folder)) == ["communication.budget", "communication.differs"]


def test_a_budget_that_the_configuration_exceeds_is_an_error(app_folder: Path) -> None:
    text = VALID.replace("num-server-rounds = 100", "num-server-rounds = 9000000").replace("0.1", "1.0")
    (app_folder / "pyproject.toml").write_text(text)
    inspection = look(app_folder)
    assert inspection.has_errors
    assert "communication.budget" in codes(inspection)


def test_without_an_adapter_the_base_model_gives_its_size(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text(VALID)
    inspection = look(tmp_path, BASE)
    assert codes(inspection) == ["app.no_checkpoint"]
    assert inspection.communication is not None
    assert inspection.communication.parameters == 2 * 4 * ((8 + 12) + (8 + 8))


def test_the_size_of_the_base_model_can_be_limited(app_folder: Path) -> None:
    limited = rules.of("general-nlp", max_base_parameters=100)
    assert codes(look(app_folder, BASE, limited)) == ["config.base_model_size"]
    assert look(app_folder, BASE, limited).has_errors
    named = look(app_folder, Known(KnownBase("Example/Tiny-25B")))
    size = [finding for finding in named.findings if finding.code == "config.base_model_size"]
    assert [(f.severity.value, f.location) for f in size] == [("warning", "base_model")]
    assert "24,000,000,000" in size[0].message


def test_an_adapter_folder_is_checked_alone(app_folder: Path) -> None:
    folder = app_folder / "results" / "2026-02-11_10-00-00" / "peft_5"
    for path in (folder, folder / ADAPTER_FILE):
        inspection = look(path)
        assert codes(inspection) == ["app.no_config"]
        assert inspection.adapter is not None and inspection.card is None


def test_a_file_alone_is_checked_alone(app_folder: Path) -> None:
    inspection = look(app_folder / "pyproject.toml")
    assert codes(inspection) == []
    assert inspection.adapter is None and inspection.communication is None


def test_an_app_one_folder_below_is_found_if_it_is_the_only_one(app_folder: Path) -> None:
    assert located(app_folder.parent).config == app_folder / "pyproject.toml"
    other = app_folder.parent / "other"
    other.mkdir()
    (other / "pyproject.toml").write_text(VALID)
    with pytest.raises(DataError, match="my-app, other"):
        look(app_folder.parent)


def test_a_checkpoint_brings_its_configuration_along(tmp_path: Path) -> None:
    folder = save_adapter(tmp_path / "checkpoints" / "mine")
    (folder / "pyproject.toml").write_text(VALID)
    inspection = look(tmp_path)
    assert codes(inspection) == []
    assert inspection.card is not None


@pytest.mark.parametrize(
    ("present", "missing"),
    [
        (ADAPTER_FILE, "adapter_config.json"),
        ("adapter_config.json", ADAPTER_FILE),
        ("adapter_model.bin", ADAPTER_FILE),
    ],
)
def test_half_a_checkpoint_is_an_error(tmp_path: Path, present: str, missing: str) -> None:
    save_adapter(tmp_path)
    (tmp_path / "adapter_model.bin").write_bytes(b"\x80\x02evil")
    for name in {ADAPTER_FILE, "adapter_config.json", "adapter_model.bin"} - {present}:
        (tmp_path / name).unlink()
    inspection = look(tmp_path)
    places = [
        finding.location for finding in inspection.findings if finding.code == "submission.missing_file"
    ]
    assert missing in places


def test_nothing_to_inspect_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="there is no file or folder"):
        look(tmp_path / "nowhere")
    with pytest.raises(DataError, match="holds neither"):
        look(tmp_path)


def test_the_command_shows_tables_and_findings(app_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(app_folder) == 0
    shown = capsys.readouterr().out
    for words in ("Example/Tiny-Llama", "FedAvg", "peft_100", "SHA-256", "directions", "Nothing to report"):
        assert words in shown
    (app_folder / "pyproject.toml").write_text(VALID.replace("supernodes = 20", "supernodes = 30"))
    assert run(app_folder) == 1
    shown = capsys.readouterr().out
    assert "1 error\n" in shown and "[config.supernodes]" in shown and "num-supernodes" in shown


def words(capsys: pytest.CaptureFixture[str]) -> str:
    """What was printed, without the breaks of its lines."""
    return " ".join(capsys.readouterr().out.split())


def test_the_command_knows_the_limit_on_base_models(
    app_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (app_folder / "pyproject.toml").write_text(VALID.replace("Example/Tiny-Llama", "Example/Tiny-Llama-70B"))
    assert run(app_folder) == 0
    assert "has some 70,000,000,000 parameters, the limit is 24,000,000,000" in words(capsys)
    run(app_folder, "--max-parameters", 80_000_000_000)
    assert "[config.base_model_size]" not in words(capsys)


def test_the_command_prints_json_for_scripts(app_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (app_folder / "pyproject.toml").write_text(VALID.replace("flwrlabs/alpaca-gpt4", "mine/data"))
    assert run(app_folder, "--json", "--communication", "2.9 GB") == 1
    result: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert result["valid"] is False
    assert result["round"] == 100
    assert result["method"]["rank"] == result["adapter"]["ranks"][0] == 4
    assert result["communication"]["derived_bytes"] == 2 * result["communication"]["up_bytes"]
    assert [(f["severity"], f["code"]) for f in result["findings"]] == [
        ("error", "config.static_dataset"),
        ("warning", "communication.differs"),
    ]


def test_the_command_says_what_is_wrong_with_its_call(
    app_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["inspect", str(app_folder), "--challenge", "poetry"]) == 1
    assert "no challenge is called" in capsys.readouterr().err
    with pytest.raises(SystemExit) as stopped:
        run(app_folder, "--communication", "much")
    assert stopped.value.code == 2
    assert run(app_folder, "--base-model", app_folder) == 1
    assert "config.json" in capsys.readouterr().err


def test_the_real_federated_adapter_passes(shared: Path) -> None:
    declared = Known(declared_bytes=225 * 1024**2)
    inspection = look(shared / "checkpoints" / "fed_smollm2", declared, rules.of("finance"))
    assert inspection.findings == ()
    assert inspection.communication is not None
    assert inspection.communication.total_bytes == 225 * 1024**2


def test_a_git_lfs_pointer_is_named_in_each_file(app_folder: Path) -> None:
    pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 700\n"
    checkpoint = app_folder / "results" / "2026-02-11_10-00-00" / "peft_100"
    for path in (app_folder / "pyproject.toml", *checkpoint.iterdir()):
        path.write_text(pointer)
    inspection = look(app_folder, BASE)
    assert codes(inspection) == ["config.syntax", "adapter_config.json", "file.not_safetensors"]
    assert all("Git LFS pointer" in finding.message for finding in inspection.findings)


def test_a_sharded_adapter_is_one_error_that_says_how_to_join_it(tmp_path: Path) -> None:
    folder = save_adapter(tmp_path / "peft_100")
    (folder / ADAPTER_FILE).unlink()
    (folder / f"{ADAPTER_FILE}.index.json").write_text("{}")
    for number in (1, 2):
        (folder / f"adapter_model-0000{number}-of-00002.safetensors").write_bytes(b"")
    (finding, note) = look(folder).findings
    assert (finding.code, finding.location) == ("file.sharded", ADAPTER_FILE)
    assert "2 files" in finding.message and "save_file" in finding.message
    assert note.code == "app.no_config"


def test_a_cut_adapter_hides_no_other_problem(app_folder: Path) -> None:
    checkpoint = app_folder / "results" / "2026-02-11_10-00-00" / "peft_100"
    path = checkpoint / ADAPTER_FILE
    path.write_bytes(path.read_bytes()[:-4])
    config = VALID.replace("rounds = 100", "rounds = 9000000").replace(
        "fraction-fit = 0.1", "fraction-fit = 1.0"
    )
    assert config != VALID
    (app_folder / "pyproject.toml").write_text(config)
    inspection = look(app_folder, BASE)
    assert {"file.truncated", "communication.budget"} <= set(codes(inspection))
    whole = save_adapter(checkpoint)
    again = look(app_folder, BASE)
    assert whole and again.communication == inspection.communication


@pytest.mark.parametrize(
    ("names", "taken", "said"),
    [
        (("comm_cost_r10.txt", "comm_cost_r100.txt"), "comm_cost_r100.txt", "note"),
        (("comm_cost.txt", "comm_cost_old.txt"), "comm_cost.txt", "note"),  # by its total
        (("comm_a.txt", "comm_b.txt"), None, "warning"),
        (("logs/comm_cost.txt",), "logs/comm_cost.txt", None),
        (("training_log.txt",), "training_log.txt", None),
        (("logs/train.log", "logs/server.log"), "logs/train.log", None),
    ],
)
def test_of_several_logs_the_one_that_fits_is_taken(
    names: tuple[str, ...], taken: str | None, said: str | None, app_folder: Path
) -> None:
    inspection = look(app_folder, BASE)
    assert inspection.communication is not None
    megabytes = inspection.communication.total_bytes / 1024**2
    line = f"Communication budget: used {megabytes:.4f} MB (+0.00 MB this round) / 200,000 MB"
    for name in names:
        (app_folder / name).parent.mkdir(exist_ok=True)
        other = "no line of it" if name.endswith("server.log") else "Communication budget: used 7 MB"
        fits = name == taken or taken is None
        (app_folder / name).write_text(f"epoch 1\n{line if fits else other}\n")
    inspection = look(app_folder, BASE)
    assert (inspection.log.name if inspection.log else None) == taken
    found = [finding.severity for finding in inspection.findings if finding.code == "app.several_logs"]
    assert found == ([said] if said else [])


def test_a_log_of_another_place_is_taken_when_it_is_named(
    app_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log = tmp_path / "elsewhere.out"
    log.write_text("2.9 GB")
    assert run(app_folder, "--log", log, "--json") == 0
    assert json.loads(capsys.readouterr().out)["communication"]["log"] == str(log)
    assert run(app_folder, "--log", app_folder / "pyproject.toml") == 1  # which is no log
