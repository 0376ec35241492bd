"""`flowertune card` on a site: files written, and a pull request on the repository that was submitted."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from huggingface_hub import ModelCard, parse_eval_result_entries

from flowertune.__main__ import main
from flowertune.exit_status import Status
from portal.accounts.models import ApiToken, User
from portal.intake.services import attach, create, send
from tests.evaluation.hub_server import HubServer
from tests.portal import factories

REPO = "Example/adapter"


@pytest.mark.django_db(transaction=True)
def test_the_card_of_a_model_gets_the_results_and_its_repository_a_pull_request(
    owner: User,
    live_server: Any,
    settings: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    settings.SITE_URL = live_server.url
    draft = create(factories.draft(owner, files=None))
    made = send(attach(draft, factories.files(), origin=f"{REPO}@{'a' * 40}"))
    factories.publish(factories.evaluate(made, correct=70))
    _, token = ApiToken.issue(user=owner, name="test")
    (tmp_path / "adapter_model.safetensors").write_bytes(factories.adapter_bytes())
    (tmp_path / "README.md").write_text("---\nlicense: mit\n---\n# Mine\n")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("FLOWERTUNE_URL", live_server.url)
    monkeypatch.setenv("FLOWERTUNE_TOKEN", token)
    monkeypatch.setenv("HF_TOKEN", "hf_writer")

    def card(*options: str) -> Any:
        capsys.readouterr()
        assert main(["card", str(tmp_path), "--json", *options]) == Status.DONE
        return json.loads(capsys.readouterr().out)

    with HubServer(REPO, {"README.md": b"# As it is on the hub\n"}) as hub:
        hub.writers.add("hf_writer")
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        first = card("--pull-request")
    assert first["entry"] == made.pk and first["pull_request"] == f"{hub.url}/{REPO}/discussions/1"
    [file] = (tmp_path / ".eval_results").iterdir()
    assert first["changed"] == ["README.md", f".eval_results/{file.name}"]
    results = parse_eval_result_entries(yaml.safe_load(file.read_text()))
    assert [result.value for result in results] == [70.0] * 3
    assert ModelCard.load(tmp_path / "README.md").data.to_dict()["license"] == "mit"
    [proposed] = hub.pull_requests
    assert sorted(proposed["files"]) == sorted(first["changed"])
    assert proposed["files"]["README.md"].endswith(b"---\n# As it is on the hub\n")
    assert card("--entry", str(made.pk))["changed"] == []
