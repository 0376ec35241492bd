"""What Flower recorded of a run, sent with a submission: costs that nobody declared, and the card."""

from __future__ import annotations

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import DatabaseError, transaction
from django.test import Client

from evaluation.method.communication import GB
from portal.accounts.models import User
from portal.submissions.models import Submission
from tests.evaluation.test_flower_run import listed, run
from tests.portal import factories
from tests.portal.api.conftest import Api
from tests.portal.test_submit_form import form

pytestmark = pytest.mark.django_db

APP = "@example/medical==1.0.0"


def test_the_form_takes_it_and_the_card_shows_it(as_owner: Client, owner: User) -> None:
    record = SimpleUploadedFile("flwr_run.json", listed(run()))
    assert as_owner.post("/submit/", form(owner, flower_run=record)).status_code == 302
    made = Submission.objects.get()
    costs = {(r.kind, r.basis): r.value for r in made.resources.all()}
    assert costs["communication", "declared"] == 3 * GB and costs["wall_time", "declared"] == 7200.5
    assert "communication.differs" in set(made.findings.values_list("code", flat=True))
    assert f"{APP}, bundle sha256:" in as_owner.get(made.get_absolute_url()).content.decode()
    with pytest.raises(DatabaseError, match="Cannot update"), transaction.atomic():
        Submission.objects.filter(pk=made.pk).update(flower_run_text="")


def test_the_api_takes_its_text_and_a_figure_that_is_declared_stays(token: str) -> None:
    api, text = Api(token), listed(run()).decode()
    refused = api.submit(flower_run="{}")
    assert refused.status_code == 422
    assert "flower_run.unreadable" in {f["code"] for f in refused.json()["findings"]}
    factories.base_model()
    said = {"challenge": "finance", "base_model": "example/tiny-llama", "method": "FedAvg", "draft": True}
    resources = [{"kind": "communication", "value": 5}]
    made = api.call("POST", "submissions/", {**said, "flower_run": text, "resources": resources}).json()
    declared = {r["kind"]: r["value"] for r in made["resources"] if r["basis"] == "declared"}
    assert declared == {"communication": 5, "wall_time": 7200.5}
    assert Submission.objects.get().flower_run_text == text


def test_an_entry_shows_it(client: Client, owner: User) -> None:
    files = factories.files()
    made = factories.published(owner, files=files.__class__(**{**vars(files), "flower_run": listed(run())}))
    assert APP in client.get(f"/entries/{made.pk}/").content.decode()
