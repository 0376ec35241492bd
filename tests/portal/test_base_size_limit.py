"""The operator's limit on the size of base models: kept by form, API and list, and told beforehand."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.core.management import CommandError, call_command
from django.test import Client

from evaluation.rules.base_size import read_limits
from portal.accounts.models import User
from portal.environment import read_environment
from portal.submissions.models import BaseModel, Submission
from tests.evaluation import adapters
from tests.portal import factories

pytestmark = pytest.mark.django_db

LARGE = 70_553_706_496


@pytest.fixture
def large() -> BaseModel:
    return factories.base_model(parameters=LARGE)


@pytest.fixture
def tiny_folder(tmp_path: Path) -> Path:
    """A base model of a few hundred parameters."""
    adapters.write_base(tmp_path / "tiny", adapters.base_model())
    return tmp_path / "tiny"


def limits(**stated: int) -> Mapping[str, int]:
    return {**read_limits(""), **stated}


def add(hub_id: str, folder: Path) -> str:
    output = io.StringIO()
    call_command("add_base_model", hub_id, "--path", str(folder), stdout=output)
    return output.getvalue()


def test_the_form_refuses_a_too_large_base_model_and_names_the_limit(
    as_owner: Client, owner: User, large: BaseModel
) -> None:
    fields = {"challenge": "finance", "base_model": large.pk, "method": "FedAvg"}
    response = as_owner.post("/submit/", {**fields, "team": owner.teams.get().pk, **factories.uploads()})
    assert response.status_code == 422 and not Submission.objects.exists()
    assert f"{LARGE:,} parameters; the limit is 24,000,000,000" in response.content.decode()


def test_the_api_refuses_a_too_large_base_model_and_names_the_limit(token: str, large: BaseModel) -> None:
    said: dict[str, Any] = {"challenge": "finance", "base_model": large.hub_id, "method": "FedAvg"}
    said |= {"not_trained_on_test_items": True}
    response = Client(headers={"Authorization": f"Bearer {token}"}).post(
        "/api/v1/submissions/", {"metadata": json.dumps(said), **factories.uploads()}
    )
    assert response.status_code == 422 and not Submission.objects.exists()
    (finding,) = response.json()["findings"]
    assert (finding["code"], finding["location"]) == ("config.base_model_size", "base_model")
    assert "the limit is 24,000,000,000" in finding["message"]


def test_a_challenge_may_have_a_limit_of_its_own(as_owner: Client, owner: User, settings: Any) -> None:
    settings.BASE_MODEL_MAX_PARAMETERS = limits(code=10)
    assert factories.submission(owner).status == "queued"
    fields = {"base_model": factories.base_model().pk, "team": owner.teams.get().pk, "method": "FedAvg"}
    files = factories.uploads(pyproject=factories.pyproject("code"))
    response = as_owner.post("/submit/", {**fields, "challenge": "code", **files})
    assert response.status_code == 422 and "the limit is 10." in response.content.decode()


def test_entries_from_before_stay_and_references_of_the_site_are_exempt(
    client: Client, owner: User, settings: Any
) -> None:
    entry = factories.published(owner)
    settings.BASE_MODEL_MAX_PARAMETERS = limits(finance=10)
    assert client.get(f"/entries/{entry.pk}/").status_code == 200
    assert f"/entries/{entry.pk}/" in client.get("/leaderboard/finance/").content.decode()
    assert factories.submission(owner, kind=Submission.Kind.REFERENCE).status == "queued"


def test_a_model_too_large_for_every_challenge_is_not_listed(tiny_folder: Path, settings: Any) -> None:
    settings.BASE_MODEL_MAX_PARAMETERS = limits(**dict.fromkeys(read_limits(""), 100))
    with pytest.raises(CommandError, match=r"the limit is 100 \(BASE_MODEL_MAX_PARAMETERS\)"):
        add("Example/Tiny", tiny_folder)
    assert not BaseModel.objects.exists()


def test_a_listed_model_may_be_renewed_under_a_lower_limit(tiny_folder: Path, settings: Any) -> None:
    assert add("Example/Tiny", tiny_folder).endswith("open for submissions\n")
    settings.BASE_MODEL_MAX_PARAMETERS = limits(code=100)
    assert add("Example/Tiny", tiny_folder).endswith("submissions to general-nlp, finance, medical alone\n")
    settings.BASE_MODEL_MAX_PARAMETERS = limits(**dict.fromkeys(read_limits(""), 100))
    assert "it takes no new submissions" in add("Example/Tiny", tiny_folder)
    assert BaseModel.objects.count() == 1


def test_the_limit_is_told_on_the_rules_page_and_in_the_api(client: Client, settings: Any) -> None:
    assert "24,000,000,000" in client.get("/rules/").content.decode()
    settings.BASE_MODEL_MAX_PARAMETERS = limits(code=13_000_000_000)
    assert "13,000,000,000" in client.get("/rules/").content.decode()
    listed = {row["slug"]: row for row in client.get("/api/v1/challenges/").json()["results"]}
    assert [listed[slug]["max_base_parameters"] for slug in ("finance", "code")] == [24 * 10**9, 13 * 10**9]
    rules = client.get("/api/v1/challenges/code/").json()["rules"]
    assert "The base model has at most 13,000,000,000 parameters." in rules


def test_the_operator_sets_it_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    assert read_environment().base_model_max_parameters == read_limits("")
    monkeypatch.setenv("BASE_MODEL_MAX_PARAMETERS", "13B, code=7000000000")
    assert read_environment().base_model_max_parameters == read_limits("13B,code=7B")
    monkeypatch.setenv("BASE_MODEL_MAX_PARAMETERS", "large")
    with pytest.raises(ImproperlyConfigured, match=r"BASE_MODEL_MAX_PARAMETERS.*“large” is no limit"):
        read_environment()


def test_a_base_model_that_was_only_named_opens_with_its_files(tiny_folder: Path) -> None:
    factories.base_model(hub_id="Org/Tiny", active=False, tensors={"shapes": {}})
    assert "open for submissions" in add("Org/Tiny", tiny_folder)
    assert BaseModel.objects.get(hub_id="Org/Tiny").active


def test_a_base_model_that_staff_closed_stays_closed_and_that_is_said(tiny_folder: Path) -> None:
    add("Org/Tiny", tiny_folder)
    BaseModel.objects.update(active=False)
    assert "closed to submissions by staff" in add("Org/Tiny", tiny_folder)
    assert not BaseModel.objects.get(hub_id="Org/Tiny").active
