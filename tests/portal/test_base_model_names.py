"""A base model goes by all its names, and one that is on no list can be asked for."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from pathlib import Path

import pytest
from django.core import mail
from django.core.management import call_command
from django.test import Client

from portal.accounts.models import User
from portal.intake.checks import check
from portal.submissions.base_models import listed
from portal.submissions.models import BaseModel, BaseModelRequest
from tests.evaluation import adapters
from tests.portal import factories
from workers import deliver

pytestmark = pytest.mark.django_db

FORMER = "Former/Little-Llama"
PAGE = "/submit/base-model/"


def errors_of(owner: User, named: str) -> list[str]:
    draft = factories.draft(owner)
    assert draft.files
    config = factories.config_bytes(base_model_name_or_path=named)
    draft = replace(draft, files=replace(draft.files, adapter_config=config))
    return [finding.code for finding in check(draft).findings if finding.severity == "error"]


def test_an_adapter_may_name_its_base_model_by_an_alias(owner: User) -> None:
    model = factories.base_model()
    assert errors_of(owner, FORMER) == ["adapter_config.base_model"]
    BaseModel.objects.filter(pk=model.pk).update(aliases=f"Other/Name\n{FORMER}")
    assert errors_of(owner, FORMER) == []


def test_a_program_may_name_it_by_an_alias_too(owner: User, token: str) -> None:
    factories.base_model(aliases=FORMER)
    client = Client(headers={"authorization": f"Bearer {token}"})
    said = {"challenge": "finance", "base_model": FORMER.lower(), "method": "FedAvg", "draft": True}
    made = client.post("/api/v1/submissions/", json.dumps(said), content_type="application/json")
    assert made.status_code == 201 and made.json()["base_model"] == adapters.HUB_ID
    (row,) = client.get("/api/v1/base-models/").json()["results"]
    assert row["aliases"] == [FORMER]


def test_aliases_are_added_and_stay(tmp_path: Path, db: None) -> None:
    adapters.write_base(tmp_path / "tiny", adapters.base_model())

    def add(*names: str) -> BaseModel:
        options = [part for name in names for part in ("--alias", name)]
        call_command(
            "add_base_model", "a/b", "--path", str(tmp_path / "tiny"), *options, stdout=io.StringIO()
        )
        return BaseModel.objects.get()

    assert add(FORMER, "a/b").other_names == (FORMER,)
    assert add("Mirror/B").other_names == (FORMER, "Mirror/B")
    assert listed("mirror/b") == listed("A/B") == BaseModel.objects.get()
    assert listed("Mirror") is None
    digests = BaseModel.objects.get().tensors["digests"]
    assert digests["model.embed_tokens.weight"].keys() == {"F32", "F16", "BF16"}


def test_a_wish_reaches_the_operators_by_mail_and_stands_in_the_admin(
    as_owner: Client, reviewer: User
) -> None:
    User.objects.filter(pk=reviewer.pk).update(email="operator@example.org")
    address = "https://huggingface.co/some/model-7B"
    response = as_owner.post(PAGE, {"hub_id": address, "reason": "We trained\non it."})
    assert response.status_code == 302
    deliver.drain()
    (message,) = mail.outbox
    assert message.to == ["operator@example.org"] and "some/model-7B" in message.subject
    assert "add_base_model some/model-7B" in message.body and "We trained\non it." in message.body
    assert "not answered yet" in as_owner.get(PAGE).content.decode()
    admin = Client()
    admin.force_login(reviewer)
    assert "some/model-7B" in admin.get("/admin/submissions/basemodelrequest/").content.decode()


def test_a_wish_is_refused_where_it_is_none_or_too_many(as_owner: Client, owner: User) -> None:
    factories.base_model(aliases=FORMER)

    def said(name: str) -> str:
        response = as_owner.post(PAGE, {"hub_id": name})
        return str(response.context["form"].errors) if response.status_code == 422 else ""

    assert "organisation/name" in said("model")
    assert "is on the list already" in said(FORMER)
    assert said("some/one") == ""
    assert "already" in said("Some/One")
    assert said("some/two") == said("some/three") == ""
    assert "which is the limit" in said("some/four")
    assert BaseModelRequest.objects.count() == 3


def test_the_form_and_the_finding_lead_to_the_page(as_owner: Client, client: Client) -> None:
    assert f'href="{PAGE}"' in as_owner.get("/submit/").content.decode()
    assert f'href="{PAGE}"' in client.get("/help/findings/adapter_config.base_model/").content.decode()
    assert client.get(PAGE)["Location"].startswith("/accounts/login/")
