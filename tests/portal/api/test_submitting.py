"""Making submissions: at once or as drafts, as JSON or multipart, with files, an upload or from the hub."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.core.files.uploadedfile import SimpleUploadedFile

from portal.accounts.models import User
from portal.submissions.models import HubFetch, Submission
from portal.uploads.models import Upload
from tests.portal import factories
from tests.portal.api.conftest import Api, fields, finished_upload, metadata, texts
from tests.portal.bad_files import BAD_FILES
from tests.portal.test_submit_form import nothing_is_stored

pytestmark = pytest.mark.django_db

UPLOAD = "0f2c1a52-9c1e-4b6e-8f0e-5f6c1f5a7d11"


def codes(response: Any) -> set[tuple[str, str]]:
    return {(f["location"], f["code"]) for f in response.json()["findings"]}


def test_a_submission_is_made_and_read(api: Api) -> None:
    created = api.submit(metadata=metadata(resources=[{"kind": "communication", "value": 1024}]))
    assert created.status_code == 201, created.json()
    body = created.json()
    assert body["status"] == "queued" and body["checkpoint"]
    assert {"kind": "communication", "value": 1024.0, "unit": "B", "basis": "declared"} in body["resources"]
    assert created["Location"].endswith(f"/api/v1/submissions/{body['id']}/")
    again = api.get(f"submissions/{body['id']}/")
    assert again.status_code == 200 and again.json()["evaluations"][0]["progress"]["queue_position"] == 1
    assert [row["id"] for row in api.get("submissions/").json()["results"]] == [body["id"]]


def test_json_with_an_upload_does_the_same(api: Api, owner: User, storage: Path) -> None:
    factories.base_model()
    upload = finished_upload(owner)
    created = api.post("submissions/", {**fields(), **texts(), "adapter_upload": upload})
    assert created.status_code == 201, created.json()
    submission = Submission.objects.get()
    assert submission.status == "queued" and submission.checkpoint
    with submission.checkpoint.file.open("rb") as file:
        assert file.read() == factories.adapter_bytes()
    assert len([path for path in storage.rglob("*") if path.is_file()]) == 1, "no second copy"


def test_multipart_takes_an_upload_and_small_parts_as_text(api: Api, owner: User) -> None:
    parts = {"metadata": metadata(), "adapter_upload": finished_upload(owner), **texts()}
    factories.base_model()
    created = api.send_parts("POST", "submissions/", parts)
    assert created.status_code == 201, created.json()


def test_an_upload_is_taken_once_and_only_by_its_owner(api: Api, other: Api, owner: User) -> None:
    factories.base_model()
    body = {**fields(), **texts(), "adapter_upload": finished_upload(owner)}
    stolen = other.post("submissions/", body)
    assert stolen.status_code == 422 and codes(stolen) == {("adapter_upload", "upload.unknown")}
    assert api.post("submissions/", body).status_code == 201
    again = api.post("submissions/", body)
    assert again.status_code == 422 and codes(again) == {("adapter_upload", "upload.consumed")}


def test_a_refused_submission_leaves_its_upload_for_the_next_attempt(api: Api, owner: User) -> None:
    factories.base_model()
    body = {**fields(), **texts(), "adapter_upload": finished_upload(owner)}
    refused = api.post("submissions/", {**body, "pyproject": "{{ template }}"})
    assert refused.status_code == 422 and not Submission.objects.exists()
    assert Upload.objects.get().consumed_at is None
    assert api.post("submissions/", body).status_code == 201


@pytest.mark.parametrize(("files", "code", "place"), BAD_FILES)
def test_a_bad_file_is_a_problem_with_findings(
    api: Api, storage: Path, files: dict[str, Any], code: str | None, place: str
) -> None:
    for file in files.values():
        file.seek(0)
    response = api.submit(**files)
    assert response.status_code == 422 and response["Content-Type"] == "application/problem+json"
    problem = response.json()
    assert problem["status"] == 422 and problem["type"].endswith("invalid_submission")
    found = [f for f in problem["findings"] if place in f["location"] and f["code"].startswith(code or "")]
    assert found, problem
    assert nothing_is_stored(storage)


BAD_FIELDS = [
    ({"base_model": "No/Such"}, "base_model", "unknown_base_model"),
    ({"challenge": "poetry"}, "challenge", "invalid_choice"),
    ({"method": ""}, "method", "blank"),
    ({"method": "two\nlines"}, "method", "invalid"),
    ({"method": "\ud800"}, "method", "surrogate_characters_not_allowed"),
    ({"method": "nul\0"}, "method", "null_characters_not_allowed"),
    ({"team": "Strangers"}, "team", "unknown_team"),
    ({"kind": "reference"}, "kind", "kind_not_allowed"),
    ({"kind": "imported"}, "kind", "invalid_choice"),
    ({"resourcse": []}, "resourcse", "unknown_field"),
    ({"resources": [{"kind": "energy", "value": 1, "basis": "measured"}]}, "resources", "basis_not_allowed"),
    ({"resources": [{"kind": "energy", "value": 1}] * 2}, "resources", "duplicate_resource"),
    ({"declared_scores": {"mmlu_stem": 50}}, "declared_scores.mmlu_stem", "unknown_benchmark"),
    ({"declared_scores": {"fpb": "44.555"}}, "declared_scores.fpb", "invalid"),
    ({"declared_scores": {"fpb": "100.01"}}, "declared_scores.fpb", "invalid"),
    ({"declared_scores": {"fpb": True}}, "declared_scores.fpb", "invalid"),
    ({"adapter_upload": "7"}, "adapter_upload", "invalid"),
    ({"repository": "../etc"}, "repository", "invalid"),
    ({"repository": "a/b", "revision": "../x"}, "revision", "invalid"),
    ({"repository": "a/b@main", "revision": "x"}, "revision", "conflict"),
    ({"repository": "https://github.com/a/b"}, "repository", "invalid"),
    ({"revision": "main"}, "repository", "required"),
    ({"repository": "a/b", "adapter_config": "{}"}, "repository", "conflict"),
]


@pytest.mark.parametrize(("changes", "place", "code"), BAD_FIELDS)
def test_a_bad_field_is_named_in_json_and_in_metadata(
    api: Api, storage: Path, changes: dict[str, Any], place: str, code: str
) -> None:
    factories.base_model()
    for place_, response in (
        (place, api.post("submissions/", fields(**changes))),
        (f"metadata.{place}", api.submit(metadata=metadata(**changes))),
    ):
        assert response.status_code == 400 and (place_, code) in codes(response), response.json()
    assert nothing_is_stored(storage)


@pytest.mark.parametrize("text", ["{", "[]", "[" * 200_000, '{"x": ' + "9" * 5000 + "}", '{"a": 1, "a": 2}'])
def test_metadata_that_cannot_be_read_is_named(api: Api, storage: Path, text: str) -> None:
    response = api.submit(metadata=text)
    assert response.status_code == 400 and codes(response) == {("metadata", "not_json")}
    assert nothing_is_stored(storage)


def test_all_missing_files_are_named_at_once(api: Api) -> None:
    factories.base_model()
    response = api.post("submissions/", fields())
    assert response.status_code == 422
    assert codes(response) == {
        (name, "submission.missing_file")
        for name in ("adapter_model.safetensors", "adapter_config.json", "pyproject.toml")
    }


def test_a_draft_keeps_its_findings_and_costs_no_evaluation(api: Api) -> None:
    factories.base_model()
    created = api.post("submissions/", fields(draft=True, pyproject="{{ template }}"))
    assert created.status_code == 201, created.json()
    body = created.json()
    assert body["status"] == "received" and body["expires_at"] and body["evaluations"] == []
    assert {"config.template", "submission.missing_file"} <= {f["code"] for f in body["findings"]}


def test_files_from_the_hub_are_asked_for_and_the_token_is_never_shown(api: Api) -> None:
    factories.base_model()
    created = api.post(
        "submissions/", fields(repository="example/adapter", revision="main", hub_token="hf_secret")
    )
    assert created.status_code == 201, created.json()
    assert created.json()["status"] == "received"
    assert created.json()["hub"] == {
        "repository": "example/adapter",
        "revision": "main",
        "subfolder": "",
        "status": "waiting",
        "send": True,
        "waiting_for": "",
        "waiting_since": None,
        "next_try_at": None,
    }
    assert b"hf_secret" not in created.content and HubFetch.objects.get().token_key


def test_declared_scores_keep_the_digits_they_were_printed_with(api: Api) -> None:
    factories.base_model()
    body = api.post("submissions/", fields(draft=True, declared_scores={"fpb": "44.50", "tfns": 28.8})).json()
    assert [(s["benchmark"], s["percent"], s["value"]) for s in body["declared_scores"]] == [
        ("fpb", "44.50", 0.445),
        ("tfns", "28.8", 0.288),
    ]


def test_a_file_over_the_limit_is_refused(api: Api, storage: Path, settings: Any) -> None:
    settings.SUBMISSION_MAX_BYTES = 1000
    response = api.submit()
    assert response.status_code == 413 and "over the limit" in response.json()["detail"]
    assert nothing_is_stored(storage)


def test_a_small_part_over_its_limit_is_refused(api: Api, storage: Path) -> None:
    response = api.submit(pyproject=SimpleUploadedFile("pyproject.toml", bytes(2 * 1024**2)))
    assert response.status_code == 400 and codes(response) == {("pyproject", "upload.too_large")}
    assert nothing_is_stored(storage)


@pytest.mark.parametrize(
    ("parts", "place"),
    [
        ({"adapter_upload": UPLOAD}, "adapter_upload"),
        ({"metadata": metadata(adapter_upload=UPLOAD)}, "adapter_upload"),
        ({"metadata": metadata(pyproject="x = 1")}, "pyproject"),
        ({"metadata": metadata(repository="a/b")}, "metadata.repository"),
    ],
)
def test_what_is_said_twice_is_refused(api: Api, parts: dict[str, str], place: str) -> None:
    response = api.submit(**parts)
    assert response.status_code == 400 and codes(response) == {(place, "conflict")}


def test_an_unknown_part_is_named(api: Api) -> None:
    response = api.submit(adapter="x")
    assert response.status_code == 400 and codes(response) == {("adapter", "unknown_field")}


def test_reference_entries_need_the_permission(api: Api, owner: User) -> None:
    owner.user_permissions.add(Permission.objects.get(codename="submit_reference"))
    factories.base_model()
    energy = {"kind": "energy", "value": 1, "basis": "measured"}
    created = api.post("submissions/", fields(kind="reference", resources=[energy]))
    assert created.status_code == 201 and created.json()["checkpoint"] is None


def test_the_quota_is_a_finding(api: Api, settings: Any) -> None:
    settings.SUBMISSIONS_PER_DAY = 1
    assert api.submit().status_code == 201
    refused = api.submit()
    assert refused.status_code == 422 and codes(refused) == {("team", "submission.quota")}


def test_strangers_and_tokens_that_only_read_make_nothing(nobody: Api) -> None:
    response = nobody.submit()
    assert response.status_code == 401 and not Submission.objects.exists()


def test_a_browser_session_needs_its_csrf_token(owner: User) -> None:
    from django.test import Client

    browser = Client(enforce_csrf_checks=True)
    browser.force_login(owner)
    response = browser.post("/api/v1/submissions/", json.dumps(fields()), content_type="application/json")
    assert response.status_code == 403 and "CSRF" in response.json()["detail"]
    assert response["Content-Type"] == "application/problem+json"
