"""What the site answers to a browser that reads a submission's folder."""

from __future__ import annotations

import json
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from evaluation.inspection import Known, inspect
from evaluation.inspection.folder import gather
from portal.intake.checks import known_base
from portal.submissions.rules import site_rules
from tests.portal import factories

pytestmark = pytest.mark.django_db

Files = dict[str, bytes]
RUN = "app/results/2025-06-01"


def app(challenge: str = "finance") -> Files:
    return {
        "app/pyproject.toml": factories.pyproject(challenge),
        "app/flower/server_app.py": b"from flwr.server.strategy import FedAvg\nstrategy = FedAvg()\n",
        f"{RUN}/peft_10/adapter_config.json": factories.config_bytes(),
        f"{RUN}/peft_10/adapter_model.safetensors": factories.adapter_bytes(),
    }


def ask(client: Client, files: Files, sent: Files | None = None, **said: str) -> Any:
    listing = {
        "files": [[name, len(content), 1.0] for name, content in files.items()],
        "sent": [[name, len(content)] for name, content in (sent or {}).items()],
        **{"app": "", "checkpoint": "", "challenge": "", "base_model": "", **said},
    }
    contents = SimpleUploadedFile("contents", b"".join((sent or {}).values()) or b"-")
    return client.post("/submit/read/", {"listing": json.dumps(listing), "contents": contents})


def read(client: Client, files: Files, **said: str) -> Any:
    """As the browser does: names first, then what is wanted of the files."""
    wanted = ask(client, files, None, **said).json()["wanted"]
    return ask(client, files, {w["path"]: files[w["path"]][: w["size"]] for w in wanted}, **said).json()


def values(answer: Any) -> dict[str, str]:
    return {each["field"]: each["value"] for each in answer["values"]}


def test_a_folder_fills_in_the_form(as_owner: Client) -> None:
    model = factories.base_model()
    log = b"Communication budget: used 208.09 MB (+104.05 MB this round) / 200,000 MB\n"
    record = json.dumps({"wall_seconds": 7200, "client_peak_vram_bytes": 3 * 1024**3}).encode()
    files = app() | {f"{RUN}/comm_cost.txt": log, f"{RUN}/training.json": record}
    answer = read(as_owner, files)
    assert answer["files"]["adapter_model"] == f"{RUN}/peft_10/adapter_model.safetensors"
    found = values(answer)
    assert found["challenge"] == "finance" and found["base_model"] == str(model.pk)
    assert found["method"].startswith("FedAvg")
    assert (found["communication_gb"], found["client_vram_gb"], found["training_hours"]) == (
        "0.2032",
        "3",
        "2",
    )
    places = {each["field"]: each["place"] for each in answer["values"]}
    assert places["training_hours"] == "training.json" and "comm_cost.txt" in places["communication_gb"]
    assert "Will be evaluated on" in answer["html"] and "No worker is running" in answer["html"]


def test_what_the_form_says_already_is_not_suggested(as_owner: Client) -> None:
    model = factories.base_model()
    found = values(read(as_owner, app(), challenge="medical", base_model=str(model.pk)))
    assert "challenge" not in found and "base_model" not in found


def test_the_findings_are_those_of_the_terminal(as_owner: Client, tmp_path: Path) -> None:
    model = factories.base_model()
    files = app() | {f"{RUN}/peft_10/adapter_config.json": b"{", f"{RUN}/peft_9/adapter_config.json": b"{}"}
    for name, content in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(content)
    html = read(as_owner, files)["html"]
    folder = gather(tmp_path / "app", whole=True)
    findings = inspect(folder.material, site_rules("finance"), Known(base=known_base(model))).findings
    assert findings and all(finding.code in html for finding in findings)


def test_of_a_large_adapter_the_header_is_enough(as_owner: Client) -> None:
    factories.base_model()
    files = app()
    name = f"{RUN}/peft_10/adapter_model.safetensors"
    head = files[name][:8]
    sent = dict(files, **{name: files[name][: 8 + int.from_bytes(head, "little")]})
    answer = ask(as_owner, files, sent).json()
    assert "Of the adapter the header was read" in answer["html"]
    assert 'data-severity="error"' not in answer["html"]


def test_of_two_checkpoints_and_two_apps_the_newest_is_taken_and_the_others_offered(as_owner: Client) -> None:
    factories.base_model()
    other = {
        name.replace("app/", "other/").replace("peft_10", "peft_5"): data for name, data in app().items()
    }
    both = {f"home/{name}": data for name, data in (app() | other).items()}
    assert 'data-choice="app"' in read(as_owner, both)["html"]
    chosen = read(as_owner, both, app="home/other")
    assert chosen["files"]["pyproject"] == "home/other/pyproject.toml"
    two = app() | {name.replace("peft_10", "peft_9"): data for name, data in app().items() if "peft" in name}
    assert "peft_10" in read(as_owner, two)["files"]["adapter_model"]
    assert "peft_9" in read(as_owner, two, checkpoint=f"{RUN}/peft_9")["files"]["adapter_model"]


@pytest.mark.parametrize(
    "name", ["../pyproject.toml", "/etc/pyproject.toml", "a/../../pyproject.toml", "a\0/pyproject.toml",
             "\ud800.py", "x" * 300 + ".py", "a//pyproject.toml"],
)  # fmt: skip
def test_names_that_lead_elsewhere_are_refused(as_owner: Client, name: str) -> None:
    response = ask(as_owner, {name: b""})
    assert response.status_code == 422 and "detail" in response.json()


@pytest.mark.parametrize("name", ["notes.txt", ".git/pyproject.toml", "venv/lib/pyproject.toml"])
def test_where_nothing_is_found_it_is_said_what_was_looked_for(as_owner: Client, name: str) -> None:
    response = ask(as_owner, {f"folder/{name}": b"x"})
    assert response.status_code == 422
    assert "pyproject.toml" in response.json()["detail"] and "peft_200" in response.json()["detail"]


@pytest.mark.parametrize(
    "listing", ["", "[]", "{}", '{"files": [[1, 2, 3]]}', "[" * 10_000,
             '{"files": [["a.py", 1, 1' + "0" * 400 + "]]}"],
)  # fmt: skip
def test_a_request_that_is_none_is_refused(as_owner: Client, listing: str) -> None:
    assert as_owner.post("/submit/read/", {"listing": listing}).status_code == 422


def test_what_lies_deep_in_the_folder_is_left_alone(as_owner: Client) -> None:
    factories.base_model()
    deep = {f"app/data/{'x/' * 20}notes.txt": b"", f"app/.git/{'x/' * 20}a.py": b""}
    assert read(as_owner, app() | deep)["files"]["pyproject"] == "app/pyproject.toml"


@pytest.mark.parametrize("names", [("a/x.py", "a"), ("a", "a/x.py")])
def test_one_name_for_a_file_and_a_folder_is_refused(as_owner: Client, names: tuple[str, ...]) -> None:
    assert ask(as_owner, dict.fromkeys(names, b"x")).status_code == 422


def test_too_many_files_and_files_that_nobody_wanted_are_refused(as_owner: Client) -> None:
    assert ask(as_owner, {f"a/{n}.txt": b"" for n in range(5_001)}).status_code == 422
    assert ask(as_owner, app(), {"app/other.txt": b"x"}).status_code == 422


def test_strangers_are_sent_to_sign_in(client: Client) -> None:
    assert client.post("/submit/read/", {"contents": BytesIO(b"x")}).status_code == 302


@pytest.mark.parametrize(
    "name",
    ["fsdp_partial_zero_rows", "lora_on_embedding", "named_adapter_keys", "sharded_adapter",
     "torch_compile_prefix", "unchanged_lm_head_copy", "unsloth_auto_mapping", "lfs_pointer_config"],
)  # fmt: skip
def test_adapters_as_people_have_them_read_as_in_the_terminal(
    as_owner: Client, shared: Path, name: str
) -> None:
    folder = shared / "field" / name
    files = {f"{name}/{path.name}": path.read_bytes() for path in folder.iterdir()}
    html = read(as_owner, files)["html"]
    rules = site_rules("finance")
    findings = inspect(gather(folder, whole=True).material, rules, Known(is_exempt=True)).findings
    assert findings and all(finding.code in html for finding in findings)
