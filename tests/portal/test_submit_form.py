"""Submitting through the browser's form."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from django.conf import settings
from django.core.files.uploadedfile import SimpleUploadedFile, TemporaryUploadedFile
from django.test import Client

from portal.accounts.models import User, personal_team
from portal.runs.models import Evaluation
from portal.submissions.models import (
    Checkpoint,
    DeclaredScore,
    Finding,
    HubFetch,
    Resource,
    Submission,
)
from tests.portal import factories
from tests.portal.bad_files import BAD_FILES

pytestmark = pytest.mark.django_db


def form(owner: User, **changes: Any) -> dict[str, Any]:
    return {
        "challenge": "finance",
        "base_model": factories.base_model().pk,
        "team": personal_team(owner).pk,
        "not_trained_on_test_items": "on",
        "method": "FedAvg, rank 4",
        **factories.uploads(),
        **changes,
    }


def nothing_is_stored(storage: Path) -> bool:
    models = (Submission, Checkpoint, Evaluation, Finding, Resource, DeclaredScore, HubFetch)
    incoming = any(settings.FILE_UPLOAD_TEMP_DIR.iterdir())
    return not (
        incoming or any(m.objects.exists() for m in models) or any(p.is_file() for p in storage.rglob("*"))
    )


def test_a_sound_submission_is_stored_and_queued(as_owner: Client, owner: User, storage: Path) -> None:
    response = as_owner.post("/submit/", form(owner, communication_gb="0.5", training_hours="2"))
    submission = Submission.objects.get()
    assert response.status_code == 302 and response["Location"] == f"/submissions/{submission.pk}/"
    assert submission.status == "queued"
    assert submission.evaluations.get().status == "queued"
    assert submission.checkpoint and submission.checkpoint.file.name
    assert (storage / submission.checkpoint.file.name).read_bytes() == factories.adapter_bytes()
    costs = {(r.kind, r.basis): r.value for r in submission.resources.all()}
    assert costs["communication", "declared"] == 0.5 * 1024**3
    assert costs["wall_time", "declared"] == 7200


@pytest.mark.parametrize(("files", "code", "place"), BAD_FILES)
def test_a_bad_file_is_named_and_nothing_is_stored(
    as_owner: Client, owner: User, storage: Path, files: dict[str, Any], code: str, place: str
) -> None:
    for file in files.values():
        file.seek(0)
    response = as_owner.post("/submit/", form(owner, **files))
    assert response.status_code == 422
    findings = response.context["findings"]
    errors = [f for f in findings if f.severity == "error" and f.code.startswith(code)]
    assert errors and any(place in f.location for f in errors), findings
    assert place in response.content.decode()
    assert nothing_is_stored(storage)


@pytest.mark.parametrize("name", ["adapter_model", "adapter_config", "pyproject"])
def test_an_empty_file_is_named_and_nothing_is_stored(
    as_owner: Client, owner: User, storage: Path, name: str
) -> None:
    files = factories.uploads() | {name: SimpleUploadedFile("x", b"")}
    response = as_owner.post("/submit/", form(owner, **files))
    assert response.status_code == 422
    assert "file.empty" in [finding.code for finding in response.context["findings"]]
    assert nothing_is_stored(storage)


@pytest.mark.parametrize("name", ["adapter_model", "adapter_config", "pyproject"])
def test_a_missing_file_is_named_and_nothing_is_stored(
    as_owner: Client, owner: User, storage: Path, name: str
) -> None:
    data = form(owner)
    del data[name]
    response = as_owner.post("/submit/", data)
    assert response.status_code == 422 and "missing" in str(response.context["form"].errors[name])
    assert nothing_is_stored(storage)


def test_all_problems_are_shown_at_once(as_owner: Client, owner: User) -> None:
    files = factories.uploads(adapter=b"PK\x03\x04" + bytes(60), config=b"[]", pyproject=b"= 1")
    response = as_owner.post("/submit/", form(owner, **files))
    places = {finding.location.partition(":")[0] for finding in response.context["findings"]}
    assert places == {"adapter_model.safetensors", "adapter_config.json", "pyproject.toml"}


@pytest.mark.parametrize(
    ("written", "gigabytes"), [("45.1", 45.1), ("46,228 MB", 46228 / 1024), ("46228 Megabytes", 46228 / 1024)]
)
def test_an_amount_is_taken_as_people_write_it(
    written: str, gigabytes: float, as_owner: Client, owner: User
) -> None:
    as_owner.post("/submit/", form(owner, communication_gb=written))
    cost = Submission.objects.get().resources.get(kind="communication", basis="declared")
    assert cost.value == pytest.approx(gigabytes * 1024**3)


def test_what_is_no_amount_is_refused(as_owner: Client, owner: User) -> None:
    response = as_owner.post("/submit/", form(owner, communication_gb="much"))
    assert response.status_code == 422 and "communication_gb" in response.context["form"].errors


def from_hub(owner: User, **changes: Any) -> dict[str, Any]:
    fields = form(owner, **changes)
    return {name: value for name, value in fields.items() if name not in factories.uploads()}


def test_a_repository_is_taken_by_the_address_that_was_pasted(as_owner: Client, owner: User) -> None:
    address = "https://huggingface.co/some/adapter/tree/v1/r%C3%A9sultats"
    assert as_owner.post("/submit/", from_hub(owner, hub_repository=address)).status_code == 302
    fetch = HubFetch.objects.get()
    assert (fetch.repository, fetch.revision, fetch.subfolder) == ("some/adapter", "v1", "résultats")


@pytest.mark.parametrize(
    ("field", "changes"),
    [
        ("hub_repository", {"hub_repository": "https://github.com/some/adapter"}),
        ("hub_repository", {"hub_repository": "https://huggingface.co/datasets/some/data"}),
        ("hub_revision", {"hub_repository": "some/adapter@v1", "hub_revision": "v2"}),
        ("hub_subfolder", {"hub_repository": "some/adapter", "hub_subfolder": "../up"}),
    ],
)
def test_an_address_that_leads_elsewhere_is_refused(
    field: str, changes: dict[str, str], as_owner: Client, owner: User
) -> None:
    response = as_owner.post("/submit/", from_hub(owner, **changes))
    assert response.status_code == 422 and field in response.context["form"].errors


def test_an_unlisted_base_model_is_refused(as_owner: Client, owner: User, storage: Path) -> None:
    response = as_owner.post("/submit/", form(owner, base_model="999999"))
    assert response.status_code == 422
    assert "base_model" in response.context["form"].errors
    assert nothing_is_stored(storage)


def test_a_file_over_the_limit_is_refused(
    as_owner: Client, owner: User, storage: Path, settings: Any
) -> None:
    settings.SUBMISSION_MAX_BYTES = 1000
    response = as_owner.post("/submit/", form(owner))
    assert response.status_code == 413
    assert "over the limit of 1000" in response.content.decode()
    assert nothing_is_stored(storage)


def test_the_method_needs_a_name(as_owner: Client, owner: User) -> None:
    response = as_owner.post("/submit/", form(owner, method="  "))
    assert response.status_code == 422 and "method" in response.context["form"].errors


def test_nobody_submits_for_another_team(as_owner: Client, owner: User, stranger: User) -> None:
    response = as_owner.post("/submit/", form(owner, team=personal_team(stranger).pk))
    assert response.status_code == 422 and "team" in response.context["form"].errors


def test_an_unknown_challenge_is_refused(as_owner: Client, owner: User) -> None:
    response = as_owner.post("/submit/", form(owner, challenge="poetry"))
    assert response.status_code == 422 and "challenge" in response.context["form"].errors


def test_the_daily_quota_stops_a_flood_but_not_for_failures(
    as_owner: Client, owner: User, settings: Any
) -> None:
    settings.SUBMISSIONS_PER_DAY = 1
    assert as_owner.post("/submit/", form(owner)).status_code == 302
    refused = as_owner.post("/submit/", form(owner))
    assert refused.status_code == 422
    assert [f.code for f in refused.context["findings"]] == ["submission.quota"]


def test_the_same_tensors_under_another_name_are_a_warning(
    as_owner: Client, owner: User, stranger: User
) -> None:
    factories.submission(stranger)
    as_owner.post("/submit/", form(owner, **factories.uploads(adapter=factories.adapter_bytes(seed=7))))
    codes = Submission.objects.get(submitter=owner).findings.values_list("code", "severity")
    assert ("submission.duplicate_checkpoint", "warning") in codes


def test_the_same_file_is_stored_once(owner: User, storage: Path) -> None:
    factories.submission(owner)
    factories.submission(owner, method="again")
    assert Checkpoint.objects.count() == 1
    assert sum(path.is_file() for path in storage.rglob("*")) == 1


def test_a_failure_after_storing_leaves_no_file(
    owner: User, storage: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("the database went away")

    monkeypatch.setattr("portal.intake.services.runs.enqueue", broken)
    with pytest.raises(RuntimeError):
        factories.submission(owner)
    assert nothing_is_stored(storage)


def test_strangers_are_sent_to_sign_in(client: Client, db: None) -> None:
    assert client.get("/submit/")["Location"] == "/accounts/login/?next=/submit/"


def test_files_of_people_who_are_not_signed_in_are_never_stored(settings: Any, tmp_path: Path) -> None:
    settings.FILE_UPLOAD_TEMP_DIR = tmp_path
    client = Client(enforce_csrf_checks=True)
    with patch.object(TemporaryUploadedFile, "__init__", side_effect=AssertionError("a file was opened")):
        response = client.post("/submit/", {"csrfmiddlewaretoken": "x", **factories.uploads()})
    assert response.status_code == 403


def test_a_part_left_in_storage_by_a_crash_is_not_taken_for_the_file(owner: User, storage: Path) -> None:
    factories.submission(owner)
    checkpoint = Checkpoint.objects.get()
    folder = (storage / str(checkpoint.file.name)).parent
    (folder / "leftover.safetensors").write_bytes(b"part")
    again = factories.submission(owner, method="again")
    assert again.checkpoint == checkpoint
    with checkpoint.file.open("rb") as file:
        assert file.read() == factories.adapter_bytes()
