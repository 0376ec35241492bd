"""The command line `flowertune` against the served site: from a folder to a queued submission and back."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from flowertune.__main__ import main
from flowertune.exit_status import Status
from portal.accounts.models import ApiToken, User
from portal.submissions.base_models import register_base_model
from portal.submissions.models import BaseModel, Submission
from portal.uploads.models import Upload
from tests.evaluation import adapters
from tests.portal import factories
from tests.workers.conftest import Start, start_worker

__all__ = ["start_worker"]


pytestmark = pytest.mark.django_db(transaction=True)

Run = Callable[..., tuple[int, Any]]


@pytest.fixture
def sender(transactional_db: None) -> User:
    return factories.user("sender")


@pytest.fixture
def run(
    live_server: Any,
    sender: User,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Run:
    """Run a command against a served site; gives the exit status and the JSON document."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("FLOWERTUNE_TOKEN", ApiToken.issue(user=sender, name="client")[1])
    monkeypatch.setenv("FLOWERTUNE_URL", live_server.url)

    def call(*arguments: str) -> tuple[int, Any]:
        capsys.readouterr()
        status = main([*arguments, "--json"])
        return status, json.loads(capsys.readouterr().out)

    return call


@pytest.fixture
def app(tmp_path: Path) -> Path:
    """A Flower app's folder with two checkpoints."""
    folder = tmp_path / "app"
    for number, seed in ((4, 1), (8, 0)):
        checkpoint = folder / "results" / f"peft_{number}"
        checkpoint.mkdir(parents=True)
        (checkpoint / "adapter_model.safetensors").write_bytes(factories.adapter_bytes(seed))
        (checkpoint / "adapter_config.json").write_bytes(factories.config_bytes())
    (folder / "pyproject.toml").write_bytes(factories.PYPROJECT)
    factories.base_model()
    return folder


SUBMIT = ("--challenge", "finance", "--method", "FedAvg, rank 4", "--yes", "--not-trained-on-test-items")


def test_a_folder_becomes_a_queued_submission_once(run: Run, app: Path) -> None:
    status, first = run("submit", str(app), *SUBMIT, "--declared", "fpb=44.55", "--communication", "1 GB")
    assert status == Status.DONE, first
    assert (first["status"], first["method"], first["repeated"]) == ("queued", "FedAvg, rank 4", False)
    assert first["base_model"] == adapters.HUB_ID and first["declared_scores"][0]["percent"] == "44.55"
    status, again = run("submit", str(app), *SUBMIT)
    assert (status, again["id"], again["repeated"]) == (Status.DONE, first["id"], True)
    assert Submission.objects.count() == 1
    status, listed = run("status")
    assert status == Status.DONE and [row["id"] for row in listed["results"]] == [first["id"]]
    status, shown = run("status", str(first["id"]))
    assert status == Status.DONE and shown["status"] == "queued"


def test_a_draft_is_kept_with_its_errors_then_completed_and_sent(run: Run, app: Path) -> None:
    (app / "pyproject.toml").unlink()
    name = ("--base-model", adapters.HUB_ID)
    status, refused = run("submit", str(app), *SUBMIT, *name)
    assert status == Status.REFUSED and not Submission.objects.exists()
    errors = {f["code"] for f in refused["error"]["findings"] if f["severity"] == "error"}
    assert errors == {"submission.missing_file"}
    status, draft = run("submit", str(app), *SUBMIT, *name, "--draft")
    assert status == Status.DONE and draft["status"] == "received", draft
    (app / "pyproject.toml").write_bytes(factories.PYPROJECT)
    status, sent = run("submit", str(app), *SUBMIT, "--description", "Now whole")
    assert (status, sent["id"], sent["status"]) == (Status.DONE, draft["id"], "queued"), sent
    assert sent["description"] == "Now whole" and not Upload.objects.open().exists()


def test_what_the_site_alone_can_see_is_refused_and_costs_no_second_upload(
    run: Run, app: Path, settings: Any
) -> None:
    settings.SUBMISSIONS_PER_DAY = 0
    status, refused = run("submit", str(app), *SUBMIT)
    codes = [finding["code"] for finding in refused["error"]["findings"]]
    assert (status, codes) == (Status.REFUSED, ["submission.quota"])
    (upload,) = Upload.objects.open()
    assert upload.is_complete
    settings.SUBMISSIONS_PER_DAY = 20
    status, sent = run("submit", str(app), *SUBMIT)
    assert status == Status.DONE, sent
    upload.refresh_from_db()
    assert upload.consumed_at and Upload.objects.count() == 1


@pytest.mark.parametrize(
    ("option", "code"),
    [("Example/Other", "adapter_config.base_model"), (adapters.HUB_ID, "adapter.shape")],
)
def test_what_does_not_fit_the_base_model_is_seen_before_anything_is_sent(
    run: Run, app: Path, option: str, code: str
) -> None:
    fitting = adapters.base_model()
    shapes = {name: tuple(2 * size for size in shape) for name, shape in fitting.shapes.items()}
    BaseModel.objects.update(tensors=replace(fitting, shapes=shapes).to_json())
    factories.base_model("Example/Other")
    status, refused = run("submit", str(app), *SUBMIT, "--base-model", option)
    assert status == Status.REFUSED and code in {f["code"] for f in refused["error"]["findings"]}
    assert not Upload.objects.exists()


def test_a_withdrawn_submission_may_be_sent_anew(run: Run, app: Path) -> None:
    _, first = run("submit", str(app), *SUBMIT)
    status, withdrawn = run("withdraw", str(first["id"]), "--yes")
    assert (status, withdrawn["status"]) == (Status.DONE, "withdrawn")
    assert run("withdraw", str(first["id"]), "--yes")[0] == Status.DONE
    status, second = run("submit", str(app), *SUBMIT)
    assert status == Status.DONE and second["id"] != first["id"] and not second["repeated"]


def test_after_a_smoke_run_the_command_goes_on_in_full(run: Run, app: Path) -> None:
    _, sent = run("submit", str(app), *SUBMIT, "--smoke-run")
    number = str(sent["id"])
    assert sent["smoke_run"] and sent["evaluations"][0]["smoke_run"]
    assert run("evaluate", number)[0] == Status.REFUSED
    factories.smoke_run(Submission.objects.get())
    status, watched = run("watch", number)
    assert (status, watched["status"]) == (Status.DONE, "tried") and watched["decide_by"]
    assert run("results", number)[0] == Status.TEMPORARY, "a smoke run has no results"
    status, log = run("log", number)
    assert (status, log["status"]) == (Status.DONE, "tried")
    assert log["lines"][-1]["text"] == "All benchmarks are scored."
    for _ in range(2):
        status, queued = run("evaluate", number)
        assert (status, queued["status"]) == (Status.DONE, "queued")
    assert run("submit", str(app), *SUBMIT)[1]["repeated"]


def test_results_come_with_the_single_answers(run: Run, sender: User, tmp_path: Path) -> None:
    made = factories.evaluated(sender)
    status, watched = run("watch", str(made.pk))
    assert (status, watched["status"]) == (Status.DONE, "in_review")
    status, results = run("results", str(made.pk))
    assert status == Status.DONE and results["average"] == pytest.approx(0.7)


def test_what_one_may_submit_to_is_listed(run: Run) -> None:
    factories.base_model()
    assert [row["hub_id"] for row in run("base-models")[1]["results"]] == [adapters.HUB_ID]
    assert "finance" in [row["slug"] for row in run("challenges")[1]["results"]]


def test_a_token_is_checked_before_it_is_kept(
    run: Run, sender: User, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = ApiToken.issue(user=sender, name="laptop")[1]
    monkeypatch.delenv("FLOWERTUNE_TOKEN")
    assert run("login", "--token", "flt_wrong")[0] == Status.REFUSED
    assert run("status")[1]["error"]["code"] == "not_logged_in"
    status, about = run("login", "--token", secret)
    assert status == Status.DONE and about["token"]["user"] == "sender" and secret not in str(about)
    stored = tmp_path / "config" / "flowertune" / "credentials.json"
    assert stored.stat().st_mode & 0o777 == 0o600 and stored.parent.stat().st_mode & 0o777 == 0o700
    assert run("status")[0] == Status.DONE
    assert run("logout")[0] == Status.DONE and secret not in stored.read_text()


def test_strangers_see_nothing(run: Run, stranger: User) -> None:
    made = factories.submission(stranger)
    assert run("status", str(made.pk))[0] == Status.REFUSED
    assert run("withdraw", str(made.pk), "--yes")[0] == Status.REFUSED


@pytest.mark.slow("a worker evaluates the real base model")
@pytest.mark.model
def test_a_real_adapter_goes_the_whole_way(
    run: Run, shared: Path, smollm2: Path, start_worker: Start, tmp_path: Path
) -> None:
    register_base_model(hub_id="HuggingFaceTB/SmolLM2-135M-Instruct", folder=smollm2)
    folder = shared / "checkpoints" / "fed_smollm2"
    status, sent = run("submit", str(folder), "--challenge", "finance", *SUBMIT[-2:])
    assert (status, sent["status"], sent["method"]) == (Status.DONE, "queued", "FedAvg, rank 16"), sent
    assert not [f for f in sent["findings"] if f["severity"] == "error"]

    start_worker(
        EVALUATION_DATA=str(shared / "data" / "eval"),
        EVALUATION_LIMIT="2",
        EVALUATION_LEASE_SECONDS="60",
        VAR_DIR=str(tmp_path),  # where the site keeps the files
    )
    status, watched = run("watch", str(sent["id"]), "--timeout", "300")
    assert (status, watched["status"]) == (Status.DONE, "in_review")
    status, results = run("results", str(sent["id"]), "--items", str(tmp_path / "answers"))
    assert status == Status.DONE and set(results["files"]) == set(factories.BENCHMARKS)
    lines = Path(results["files"]["fpb"]).read_text().splitlines()
    assert len(lines) == 2 and {"prompt", "completion", "correct"} <= json.loads(lines[0]).keys()
