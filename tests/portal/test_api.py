"""The REST API: submitting, reading, tokens, errors."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from portal.accounts.models import ApiToken, User
from portal.runs import services as runs
from portal.submissions.models import Submission
from tests.portal import factories
from tests.portal.bad_files import BAD_FILES
from tests.portal.test_submit_form import nothing_is_stored

pytestmark = pytest.mark.django_db


def metadata(**changes: Any) -> str:
    return json.dumps(
        {"challenge": "finance", "base_model": "example/tiny-llama", "method": "FedAvg", **changes}
    )


def post(client: Client, token: str, **parts: Any) -> Any:
    factories.base_model()
    body = {"metadata": metadata(), **factories.uploads(), **parts}
    return client.post("/api/v1/submissions/", body, headers={"Authorization": f"Bearer {token}"})


def get(client: Client, path: str, token: str | None = None) -> Any:
    return client.get(f"/api/v1/{path}", headers={"Authorization": f"Bearer {token}"} if token else {})


def test_a_submission_is_made_and_read(client: Client, token: str) -> None:
    created = post(client, token, metadata=metadata(resources=[{"kind": "communication", "value": 1024}]))
    assert created.status_code == 201, created.json()
    body = created.json()
    assert body["status"] == "queued" and body["checkpoint"]
    assert {"kind": "communication", "value": 1024.0, "unit": "B", "basis": "declared"} in body["resources"]
    assert created["Location"].endswith(f"/api/v1/submissions/{body['id']}/")
    again = get(client, f"submissions/{body['id']}/", token)
    assert again.status_code == 200 and again.json()["evaluations"][0]["progress"]["queue_position"] == 1
    assert [row["id"] for row in get(client, "submissions/", token).json()["results"]] == [body["id"]]


@pytest.mark.parametrize(("files", "code", "place"), BAD_FILES)
def test_a_bad_file_is_a_problem_with_findings(
    client: Client, token: str, storage: Path, files: dict[str, Any], code: str | None, place: str
) -> None:
    for file in files.values():
        file.seek(0)
    response = post(client, token, **files)
    assert response.status_code == 422 and response["Content-Type"] == "application/problem+json"
    problem = response.json()
    assert problem["status"] == 422 and problem["type"].endswith("invalid_submission")
    assert any(place in f["location"] and code in (None, f["code"]) for f in problem["findings"]), problem
    assert nothing_is_stored(storage)


@pytest.mark.parametrize(
    ("text", "place", "code"),
    [
        ("{", "metadata", "not_json"),
        ("[]", "metadata", "not_json"),
        ("[" * 200_000, "metadata", "not_json"),
        ('{"x": ' + "9" * 5000 + "}", "metadata", "not_json"),
        (metadata(base_model="No/Such"), "metadata.base_model", "unknown_base_model"),
        (metadata(challenge="poetry"), "metadata.challenge", "invalid_choice"),
        (metadata(method=""), "metadata.method", "blank"),
        (metadata(team="Strangers"), "metadata.team", "unknown_team"),
        (metadata(kind="reference"), "metadata.kind", "kind_not_allowed"),
        (
            metadata(resources=[{"kind": "energy", "value": 1, "basis": "measured"}]),
            "metadata.resources",
            "basis_not_allowed",
        ),
    ],
)
def test_bad_metadata_names_the_field(
    client: Client, token: str, storage: Path, text: str, place: str, code: str
) -> None:
    response = post(client, token, metadata=text)
    assert response.status_code == 400
    assert (place, code) in [(f["location"], f["code"]) for f in response.json()["findings"]], response.json()
    assert nothing_is_stored(storage)


def test_missing_files_are_named(client: Client, token: str) -> None:
    factories.base_model()
    response = client.post(
        "/api/v1/submissions/", {"metadata": metadata()}, headers={"Authorization": f"Bearer {token}"}
    )
    assert response.status_code == 400
    assert {f["location"] for f in response.json()["findings"]} == {
        "adapter_model",
        "adapter_config",
        "pyproject",
    }


def test_a_file_over_the_limit_is_refused(client: Client, token: str, storage: Path, settings: Any) -> None:
    settings.SUBMISSION_MAX_BYTES = 1000
    response = post(client, token)
    assert response.status_code == 413 and "over the limit" in response.json()["detail"]
    assert nothing_is_stored(storage)


def test_a_wrong_token_is_refused(client: Client, token: str) -> None:
    for wrong in ("ftl_wrong", token + "x", ""):
        response = post(client, wrong)
        assert response.status_code == 401 and response["WWW-Authenticate"].startswith("Bearer")
        assert response["Content-Type"] == "application/problem+json"
    assert not Submission.objects.exists()


def test_a_revoked_token_is_refused_by_name(client: Client, token: str) -> None:
    ApiToken.objects.get().revoke()
    response = post(client, token)
    assert response.status_code == 401 and "revoked" in response.json()["detail"]


def test_the_token_itself_is_not_stored(token: str) -> None:
    stored = ApiToken.objects.get()
    assert token not in {str(value) for value in vars(stored).values()} and stored.digest != token


def test_a_stranger_reads_only_what_is_published(client: Client, owner: User, stranger: User) -> None:
    other = ApiToken.issue(user=stranger, name="other")[1]
    hidden, public = factories.evaluated(owner), factories.published(owner, method="Public")
    assert get(client, f"submissions/{hidden.pk}/", other).status_code == 404
    assert get(client, f"submissions/{hidden.pk}/").status_code == 404
    assert get(client, f"submissions/{public.pk}/").status_code == 200


def test_the_public_reads_no_findings_and_no_failures(client: Client, owner: User, token: str) -> None:
    factories.submission(owner, method="Secret")
    runs.claim(worker="test")
    public = factories.published(owner, method="Public")
    assert get(client, f"submissions/{public.pk}/", token).json()["findings"] != []
    body = get(client, f"submissions/{public.pk}/")
    assert body.json()["findings"] == [] and "Secret" not in body.content.decode()


def test_a_small_part_over_its_limit_is_refused(client: Client, token: str, storage: Path) -> None:
    response = post(client, token, pyproject=SimpleUploadedFile("pyproject.toml", bytes(2 * 1024**2)))
    assert response.status_code == 400
    assert [(f["location"], f["code"]) for f in response.json()["findings"]] == [
        ("pyproject", "upload.too_large")
    ]
    assert nothing_is_stored(storage)


def test_reference_entries_need_the_permission(client: Client, token: str, owner: User) -> None:
    owner.user_permissions.add(Permission.objects.get(codename="submit_reference"))
    factories.base_model()
    text = metadata(kind="reference", resources=[{"kind": "energy", "value": 1, "basis": "measured"}])
    response = client.post(
        "/api/v1/submissions/", {"metadata": text}, headers={"Authorization": f"Bearer {token}"}
    )
    assert response.status_code == 201 and response.json()["checkpoint"] is None


def test_the_leaderboard_has_ranks_scores_and_costs(client: Client, owner: User) -> None:
    factories.published(owner, method="Worse", correct=50)
    factories.published(owner, method="Better", correct=60)
    body = get(client, "leaderboards/finance/").json()
    assert (body["challenge"], body["protocol"], body["next"]) == ("finance", 1, None)
    assert [(row["rank"], row["method"], row["average"]) for row in body["results"]] == [
        (1, "Better", 0.6),
        (2, "Worse", 0.5),
    ]
    assert {"entry", "team", "base_model", "scores", "resources"} <= body["results"][0].keys()


def test_an_unknown_challenge_suggests_the_known(client: Client, db: None) -> None:
    response = get(client, "leaderboards/poetry/")
    assert response.status_code == 404 and "finance" in response.json()["detail"]


def test_the_schema_has_no_warnings(db: None) -> None:
    from django.core.management import call_command

    call_command("spectacular", "--validate", "--fail-on-warn", file="/dev/null")


def test_the_documentation_page_works_under_the_content_security_policy(client: Client, db: None) -> None:
    response = client.get("/api/docs/")
    assert response.status_code == 200
    assert "<script>" not in response.content.decode()
