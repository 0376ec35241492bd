"""Declared scores and figures on the form, on the submission's page and in the review."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from django.test import Client

from portal.accounts.models import User, personal_team
from portal.intake.drafts import Cost
from portal.submissions.models import Resource, Submission
from tests.portal import factories

pytestmark = pytest.mark.django_db

# 4 bytes × 288 parameters × 5 clients a round × 8 rounds × both directions
DERIVED_BYTES = 4 * 288 * 5 * 8 * 2


def form(owner: User, **changes: Any) -> dict[str, Any]:
    return {
        "challenge": "finance",
        "base_model": factories.base_model().pk,
        "team": personal_team(owner).pk,
        "not_trained_on_test_items": "on",
        "method": "FedAvg",
        **factories.uploads(),
        **changes,
    }


def findings(submission: Submission) -> dict[str, tuple[str, str]]:
    return {f.code: (f.severity, f.message) for f in submission.findings.all()}


def test_scores_are_optional_and_kept_as_they_were_written(as_owner: Client, owner: User) -> None:
    as_owner.post("/submit/", form(owner, score_fpb="75.50", score_tfns="3"))
    submission = Submission.objects.get()
    assert {s.benchmark: str(s.percent) for s in submission.declared_scores.all()} == {
        "fpb": "75.50",
        "tfns": "3",
    }
    assert "75.50" in as_owner.get(f"/submissions/{submission.pk}/").content.decode()


def test_an_impossible_score_is_a_warning_that_the_reviewer_sees(
    as_owner: Client, as_reviewer: Client, owner: User
) -> None:
    as_owner.post("/submit/", form(owner, score_fiqa="27.51"))
    submission = Submission.objects.get()
    severity, message = findings(submission)["declared.impossible_score"]
    assert severity == "warning" and "304 items" in message
    assert submission.status == "queued"
    for client, path in (
        (as_owner, f"/submissions/{submission.pk}/"),
        (as_reviewer, "/admin/submissions/submission/{}/change/"),
    ):
        html = client.get(path.format(submission.pk)).content.decode()
        assert "declared.impossible_score" in html and "304 items" in html


@pytest.mark.parametrize("value", ["-1", "100.5", "12.345", "many", "NaN", "1e2000000"])
def test_what_is_no_percentage_is_refused_at_its_field(as_owner: Client, owner: User, value: str) -> None:
    response = as_owner.post("/submit/", form(owner, score_fpb=value))
    assert response.status_code == 422 and "score_fpb" in response.context["form"].errors
    assert '<details class="more" open>' in response.content.decode()


def test_scores_of_another_challenge_are_not_taken(as_owner: Client, owner: User) -> None:
    as_owner.post("/submit/", form(owner, score_medqa="50", score_fpb="50"))
    assert [s.benchmark for s in Submission.objects.get().declared_scores.all()] == ["fpb"]


def test_the_method_and_what_follows_from_it_stand_on_the_page(as_owner: Client, owner: User) -> None:
    submission = factories.submission(owner)
    derived = {r.kind: r.value for r in submission.resources.filter(basis="derived")}
    assert derived == {"communication": DERIVED_BYTES, "trainable_parameters": 288}
    page = as_owner.get(f"/submissions/{submission.pk}/").content.decode()
    assert "<dt>Rounds</dt>" in page and "50, 5 a round" in page and "derived" in page


def test_a_declared_figure_is_held_against_the_derived_one(owner: User) -> None:
    def declared(value: float) -> list[Cost]:
        return [Cost(Resource.Kind.COMMUNICATION, value, Resource.Basis.DECLARED)]

    right = factories.submission(owner, costs=declared(DERIVED_BYTES))
    assert "communication.differs" not in findings(right)
    wrong = factories.submission(owner, costs=declared(100 * DERIVED_BYTES), method="wrong")
    severity, message = findings(wrong)["communication.differs"]
    assert severity == "warning" and "288 parameters" in message and "8 rounds" in message


def test_trainable_parameters_are_counted_in_the_tensors(owner: User) -> None:
    costs = [Cost(Resource.Kind.TRAINABLE_PARAMETERS, 577, Resource.Basis.DECLARED)]
    found = findings(factories.submission(owner, costs=costs))
    assert "the adapter has 288" in found["submission.parameters_differ"][1]


def test_a_configuration_of_another_run_is_a_warning(owner: User) -> None:
    other = factories.uploads(pyproject=factories.pyproject(rank="model.lora.peft-lora-r = 32"))
    files = factories.draft(owner).files
    assert files
    submission = factories.submission(owner, files=replace(files, config=other["pyproject"].read()))
    assert findings(submission)["config.adapter_differs"][0] == "warning"


def test_a_reference_run_may_leave_the_challenges_rules(owner: User) -> None:
    files = factories.draft(owner).files
    assert files
    small = factories.pyproject(federation="[tool.flwr.federations.x]\noptions.num-supernodes = 4")
    submission = factories.submission(
        owner, kind=Submission.Kind.REFERENCE, files=replace(files, config=small)
    )
    assert submission.status == "queued"
