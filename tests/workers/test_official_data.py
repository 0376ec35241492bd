"""From the hub to the board: rows that were adopted, that a worker fetches, and that make scores official."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.test import Client
from huggingface_hub import constants

from evaluation import data
from evaluation.__main__ import main
from evaluation.benchmarks import BENCHMARKS
from leaderboard.reading import snapshots
from leaderboard.standing.entries import Track
from portal.accounts.models import User
from portal.runs import services
from portal.runs.data_register import SiteRegister
from portal.runs.models import DataRegistration, Evaluation
from portal.submissions.models import BaseModel, Submission
from tests.evaluation.hub_files import careqa_rows, fiqa_rows, published
from tests.evaluation.hub_server import HubServer
from tests.portal import factories
from tests.workers.evaluations import run
from workers import data_sets, supervisor
from workers.claiming import Evaluator

pytestmark = pytest.mark.django_db(transaction=True)

FIQA = BENCHMARKS["fiqa"]
COMMIT = "f" * 40


@pytest.fixture(autouse=True)
def worker(settings: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, evaluator: Evaluator) -> None:
    """One with a hub, a register and storage of its own; its child answers `positive` to everything."""
    settings.EVALUATION_DATA = ""
    settings.STORAGES = {
        **settings.STORAGES,
        "default": {
            "BACKEND": "django.core.files.storage.FileSystemStorage",
            "OPTIONS": {"location": tmp_path / "storage"},
        },
    }
    monkeypatch.setenv("EVALUATION_REGISTER", str(tmp_path / "register.json"))
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(supervisor, "MODULE", "tests.workers.positive_evaluation")
    model = tmp_path / "model"
    model.mkdir()
    factories.base_model()
    BaseModel.objects.update(local_path=model)


@pytest.fixture
def hub(shared: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[HubServer]:
    """The finance benchmarks: the real rows where their digest is known, for FiQA as many others."""

    def real(slug: str) -> HubServer:
        lines = (shared / "data" / "eval" / f"{slug}.jsonl").read_text(encoding="utf-8").splitlines()
        return published(BENCHMARKS[slug], [json.loads(line) for line in lines])

    with published(FIQA, fiqa_rows(), commit=COMMIT) as server:
        server.others = [real("fpb"), real("tfns")]
        monkeypatch.setenv("HF_ENDPOINT", server.url)
        yield server


def evaluated(owner: User) -> tuple[Submission, Evaluation]:
    """A submission, and its evaluation after the worker had it."""
    made = factories.submission(owner)
    claimed = services.claim(worker="test")
    assert claimed
    run(claimed)
    return made, Evaluation.objects.get(submission=made)


@pytest.mark.slow("evaluates all 3,904 items of finance, and draws the board")
def test_finance_is_official_and_ranked_once_fiqa_is_adopted(
    hub: HubServer, owner: User, client: Client
) -> None:
    assert main(["data", "--adopt", "fiqa", "--by", "ada"]) == 0
    made, evaluation = evaluated(owner)
    assert evaluation.status == "succeeded", evaluation.error_message
    assert {score.benchmark: (score.n, score.official) for score in evaluation.scores.all()} == {
        "fpb": (1_212, True),
        "fiqa": (304, True),
        "tfns": (2_388, True),
    }
    assert evaluation.provenance["data"]["fiqa"]["origin"] == f"{FIQA.hub.dataset}@{COMMIT}"
    row = DataRegistration.objects.get(name="fiqa")
    assert (row.commit, row.rows, row.adopted_by) == (COMMIT, 304, "ada")

    made.refresh_from_db()
    factories.publish(made)
    (standing,) = snapshots.current("finance").standings
    assert (standing.track, standing.rank) == (Track.OFFICIAL, 1)
    page = client.get("/benchmarks/fiqa/").content.decode()
    assert row.digest in page and "adopted by ada" in page and COMMIT[:12] in page
    lines = {line["name"]: line for line in client.get("/api/v1/data-register/").json()["results"]}
    assert lines["fiqa"]["digest"] == row.digest and lines["fiqa"]["basis"] == "register"
    assert lines["tfns"]["digest"] == BENCHMARKS["tfns"].digest and lines["tfns"]["basis"] == "project"


def test_without_an_adoption_fiqa_is_unofficial_and_says_what_to_do(hub: HubServer, owner: User) -> None:
    _, evaluation = evaluated(owner)
    score = evaluation.scores.get(benchmark="fiqa")
    assert not score.official and "--adopt fiqa" in score.unofficial_reasons[0]
    assert not DataRegistration.objects.exists()


def test_a_worker_that_finds_other_rows_than_the_first_one_is_refused_by_name(
    hub: HubServer, owner: User, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    SiteRegister().record(data.candidate("fiqa", "ada").registration)
    known = DataRegistration.objects.get(name="fiqa")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "another"))
    with published(FIQA, fiqa_rows(word="falls"), commit=COMMIT) as mirror:
        mirror.others, hub.others = hub.others, []
        monkeypatch.setenv("HF_ENDPOINT", mirror.url)
        _, evaluation = evaluated(owner)
    assert (evaluation.status, evaluation.error_code) == ("failed", "data")
    for text in (
        "rows of fiqa",
        f"recorded digest {known.digest[:12]}",
        "adopted by ada",
        "found ",
        "staff delete",
    ):
        assert text in evaluation.error_message
    assert DataRegistration.objects.get(name="fiqa").digest == known.digest


def test_the_first_worker_that_sees_a_pinned_data_set_registers_it_for_all(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with published(BENCHMARKS["careqa"], careqa_rows()) as server:
        monkeypatch.setenv("HF_ENDPOINT", server.url)
        folder = data_sets.benchmark_rows(["careqa"], tmp_path / "rows")
    assert [path.name for path in folder.iterdir()] == ["careqa.jsonl"]
    (known,) = data_sets.registered(["careqa", "medqa"])
    assert (known.rows, known.by) == (5_621, "")
    other = published(BENCHMARKS["careqa"], careqa_rows()[::-1])
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "another"))
    with other as server, pytest.raises(data.OtherRowsError, match="taken at first sight"):
        monkeypatch.setenv("HF_ENDPOINT", server.url)
        data_sets.benchmark_rows(["careqa"], tmp_path / "again")


def test_what_was_adopted_on_one_machine_can_be_given_to_all_at_once(hub: HubServer, tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="nothing is registered"):
        call_command("register_data")
    assert main(["data", "--adopt", "fiqa", "--by", "ada"]) == 0
    call_command("register_data")
    call_command("register_data", str(tmp_path / "register.json"))
    assert DataRegistration.objects.get().adopted_by == "ada"
    known = data.RegisterFile().of("fiqa")
    assert known
    other = data.RegisterFile(tmp_path / "other.json")
    other.record(replace(known, digest="0" * 64))
    with pytest.raises(CommandError, match="rows of fiqa are not the registered ones"):
        call_command("register_data", str(other.path))
