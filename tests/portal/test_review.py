"""Reviewers publish, reject and disqualify on the desk, and every step is on record."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import DatabaseError, transaction
from django.test import Client

from evaluation.errors import Fault
from portal.accounts.models import User
from portal.outages.causes import Failure
from portal.review.models import Decision
from portal.runs.services import claim, fail_attempt
from portal.submissions.models import Submission
from tests.portal import factories

pytestmark = pytest.mark.django_db


def act(client: Client, action: str, submission: Submission, reason: str = "") -> Any:
    body = {"reason": reason, "confirmed": "1"}
    return client.post(f"/review/{submission.pk}/{action}/", body, follow=True)


def test_publishing_puts_the_entry_on_the_board(as_reviewer: Client, client: Client, owner: User) -> None:
    made = factories.evaluated(owner, method="Our method")
    assert "Our method" not in client.get("/leaderboard/finance/").content.decode()
    act(as_reviewer, "publish", made)
    made.refresh_from_db()
    assert made.status == "published" and made.published_at
    assert "Our method" in client.get("/leaderboard/finance/").content.decode()
    decision = Decision.objects.get()
    assert (decision.action, decision.reviewer.username) == ("publish", "reviewer")


def test_a_rejection_needs_a_reason_which_the_team_reads(
    as_reviewer: Client, as_owner: Client, owner: User
) -> None:
    made = factories.evaluated(owner)
    assert "Give a reason" in act(as_reviewer, "reject", made).content.decode()
    made.refresh_from_db()
    assert made.status == "in_review"
    act(as_reviewer, "reject", made, reason="Trained on the test set.")
    assert "Trained on the test set." in as_owner.get(f"/submissions/{made.pk}/").content.decode()


def test_a_rejection_can_be_taken_back(as_reviewer: Client, owner: User) -> None:
    made = factories.evaluated(owner)
    act(as_reviewer, "reject", made, reason="mistake")
    act(as_reviewer, "reopen", made)
    act(as_reviewer, "publish", made)
    made.refresh_from_db()
    assert made.status == "published"
    assert list(Decision.objects.values_list("action", flat=True)) == ["reject", "reopen", "publish"]


def test_a_disqualified_entry_leaves_the_board_but_its_page_says_why(
    as_reviewer: Client, client: Client, owner: User
) -> None:
    made = factories.published(owner, method="Cheat")
    act(as_reviewer, "disqualify", made, reason="The adapter is somebody else's.")
    assert "Cheat" not in client.get("/leaderboard/finance/").content.decode()
    assert "The adapter is somebody else&#x27;s." in client.get(f"/entries/{made.pk}/").content.decode()


def test_a_rerun_is_a_new_evaluation(as_reviewer: Client, owner: User) -> None:
    made = factories.evaluated(owner)
    act(as_reviewer, "rerun", made)
    made.refresh_from_db()
    assert made.status == "queued"
    assert list(made.evaluations.values_list("status", flat=True)) == ["queued", "succeeded"]


def test_a_published_entry_stays_on_the_board_while_it_is_evaluated_again(
    as_reviewer: Client, client: Client, owner: User
) -> None:
    made = factories.published(owner, correct=70)
    act(as_reviewer, "rerun", made)
    assert "is being evaluated already" in act(as_reviewer, "rerun", made).content.decode()
    assert "70.00" in client.get("/leaderboard/finance/").content.decode()
    factories.evaluate(made, correct=80)
    assert made.status == "published"
    page = client.get("/leaderboard/finance/").content.decode()
    assert "80.00" in page and "70.00" not in page
    assert "Evaluated again" in client.get("/changes/").content.decode()


def test_a_failed_second_evaluation_changes_nothing_of_a_published_entry(
    as_reviewer: Client, client: Client, owner: User
) -> None:
    made = factories.published(owner, correct=70)
    act(as_reviewer, "rerun", made)
    evaluation = claim(worker="test")
    assert evaluation
    fail_attempt(evaluation, Failure("model", "It does not load.", Fault.INPUT))
    made.refresh_from_db()
    assert made.status == "published"
    assert "70.00" in client.get("/leaderboard/finance/").content.decode()


def test_disqualifying_ends_a_second_evaluation(as_reviewer: Client, owner: User) -> None:
    made = factories.published(owner)
    act(as_reviewer, "rerun", made)
    act(as_reviewer, "disqualify", made, reason="Copied.")
    assert list(made.evaluations.values_list("status", flat=True)) == ["cancelled", "succeeded"]


def test_what_is_not_evaluated_cannot_be_published(as_reviewer: Client, owner: User) -> None:
    made = factories.submission(owner)
    assert "Publish is not possible now" in act(as_reviewer, "publish", made).content.decode()
    assert not Decision.objects.exists()


def test_decisions_are_append_only(owner: User) -> None:
    factories.published(owner)
    with pytest.raises(DatabaseError), transaction.atomic():
        Decision.objects.update(reason="x")
    with pytest.raises(DatabaseError), transaction.atomic():
        Decision.objects.all().delete()


@pytest.mark.parametrize("path", ["submissions/submission/", "runs/evaluation/", "submissions/basemodel/"])
def test_the_administration_is_for_staff(as_owner: Client, as_reviewer: Client, path: str) -> None:
    assert as_owner.get(f"/admin/{path}").status_code == 302
    assert as_reviewer.get(f"/admin/{path}").status_code == 200


def test_a_submission_s_admin_page_shows_what_a_reviewer_needs(as_reviewer: Client, owner: User) -> None:
    made = factories.evaluated(owner)
    page = as_reviewer.get(f"/admin/submissions/submission/{made.pk}/change/").content.decode()
    assert "70 of 100 right" in page
