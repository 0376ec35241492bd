"""What a submission states of its training data: asked for on every way, fixed once sent, and shown."""

from __future__ import annotations

import json

import pytest
from django.db import DatabaseError, transaction
from django.test import Client

from portal.accounts.models import User
from portal.intake import services
from portal.intake.drafts import InvalidSubmission
from portal.submissions.models import Submission
from portal.submissions.training_data import BY_THE_SITE, TRAINING_SET_ALONE
from tests.portal import factories
from tests.portal.api.conftest import Api
from tests.portal.test_submit_form import form

pytestmark = pytest.mark.django_db

NONE = "submission.no_training_statement"
WORDS = "The challenge's set and 2,000 headlines of our own"


def test_the_form_takes_no_submission_without_it_and_keeps_a_draft(as_owner: Client, owner: User) -> None:
    page = as_owner.get("/submit/").content.decode()
    assert "training set alone, as the configuration names it." in page
    unstated = form(owner)
    del unstated["not_trained_on_test_items"]
    refused = as_owner.post("/submit/", unstated)
    assert refused.status_code == 422
    assert "State that no test item" in str(refused.context["form"].errors["not_trained_on_test_items"])
    assert not Submission.objects.exists()

    unstated = form(owner, action="save", training_data=WORDS)
    del unstated["not_trained_on_test_items"]
    assert as_owner.post("/submit/", unstated).status_code == 302
    made = Submission.objects.get()
    assert made.findings.filter(code=NONE).exists()
    assert "not stated" in as_owner.get(made.get_absolute_url()).content.decode()
    with pytest.raises(InvalidSubmission, match="State that no test item"):
        services.send(made)

    sent = form(owner, training_data=WORDS)
    assert as_owner.post(f"/submissions/{made.pk}/edit/", sent).status_code == 302
    made.refresh_from_db()
    assert (made.status, made.stated_training_data) == ("queued", WORDS)
    shown = as_owner.get(made.get_absolute_url()).content.decode()
    assert "2,000 headlines of our own" in shown and "s statement, with" in shown


def test_the_api_names_what_is_missing_and_says_what_was_stated(token: str) -> None:
    api = Api(token)
    said = {"challenge": "finance", "base_model": "example/tiny-llama", "method": "FedAvg"}
    refused = api.submit(metadata=json.dumps(said))
    findings = {f["code"]: f["location"] for f in refused.json()["findings"]}
    assert (refused.status_code, findings[NONE]) == (422, "not_trained_on_test_items")

    made = api.submit().json()
    assert made["training_data"] == TRAINING_SET_ALONE and made["not_trained_on_test_items"] is True


def test_it_is_fixed_once_sent(owner: User) -> None:
    made = factories.submission(owner)
    for changed in ({"training_data": "Less"}, {"not_trained_on_test_items": False}):
        with pytest.raises(DatabaseError, match="Cannot update"), transaction.atomic():
            Submission.objects.filter(pk=made.pk).update(**changed)


def test_of_its_own_runs_the_site_states_it_and_of_older_entries_nothing_is(owner: User) -> None:
    kind = Submission.Kind.REFERENCE
    reference = factories.submission(owner, kind=kind, not_trained_on_test_items=False)
    assert reference.stated_training_data == BY_THE_SITE
    assert Submission(kind="community", method="of 2025").stated_training_data == ""


def test_an_entry_shows_it(client: Client, owner: User) -> None:
    made = factories.published(owner, training_data=WORDS)
    assert "2,000 headlines of our own" in client.get(f"/entries/{made.pk}/").content.decode()
