"""A submission's own pages: who may see and withdraw it, and its live status."""

from __future__ import annotations

import pytest
from django.test import Client

from evaluation.errors import Fault
from portal.accounts.models import Membership, User, personal_team
from portal.intake import services
from portal.outages.causes import Failure
from portal.runs import claims
from portal.runs import services as runs
from tests.portal import factories

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("path", ["", "status/", "withdraw/"])
def test_a_stranger_does_not_learn_that_it_exists(as_stranger: Client, owner: User, path: str) -> None:
    submission = factories.submission(owner)
    assert as_stranger.get(f"/submissions/{submission.pk}/{path}").status_code == 404
    assert as_stranger.post(f"/submissions/{submission.pk}/withdraw/").status_code == 404


@pytest.mark.parametrize("path", ["", "status/", "withdraw/"])
def test_the_public_is_asked_to_sign_in(client: Client, owner: User, path: str) -> None:
    submission = factories.submission(owner)
    assert client.get(f"/submissions/{submission.pk}/{path}").status_code == 302


def test_a_teammate_and_staff_see_it(
    as_stranger: Client, as_reviewer: Client, owner: User, stranger: User
) -> None:
    submission = factories.submission(owner)
    Membership.objects.create(team=personal_team(owner), user=stranger)
    assert as_stranger.get(f"/submissions/{submission.pk}/").status_code == 200
    assert as_reviewer.get(f"/submissions/{submission.pk}/").status_code == 200


def test_an_unpublished_submission_has_no_public_entry(
    client: Client, as_stranger: Client, owner: User
) -> None:
    submission = factories.evaluated(owner)
    assert client.get(f"/entries/{submission.pk}/").status_code == 404
    assert as_stranger.get(f"/entries/{submission.pk}/").status_code == 404


def test_the_list_holds_only_ones_own(as_owner: Client, owner: User, stranger: User) -> None:
    mine, other = factories.submission(owner, method="Mine"), factories.submission(stranger, method="Other")
    listed = as_owner.get("/submissions/").context["submissions"]
    assert mine in listed and other not in listed


def test_the_empty_list_says_what_to_do(as_owner: Client) -> None:
    assert "Nothing submitted yet" in as_owner.get("/submissions/").content.decode()


def test_live_progress_is_shown_and_asks_again(as_owner: Client, owner: User) -> None:
    submission = factories.submission(owner)
    evaluation = runs.claim(worker="test")
    assert evaluation
    claims.renew(
        evaluation,
        progress={
            "phase": "evaluating",
            "benchmark": "fpb",
            "done": 30,
            "total": 120,
            "rate": 4.0,
            "eta": 75.0,
        },
    )
    page = as_owner.get(f"/submissions/{submission.pk}/status/").content.decode()
    assert "30 of 120" in page and "4.0 items a second" in page and "1 min 15 s" in page
    assert 'hx-trigger="every 2s"' in page


def test_a_settled_submission_asks_no_more(as_owner: Client, owner: User) -> None:
    submission = factories.published(owner)
    assert "hx-trigger" not in as_owner.get(f"/submissions/{submission.pk}/status/").content.decode()


def test_a_permanent_failure_shows_its_reason(as_owner: Client, owner: User) -> None:
    submission = factories.submission(owner)
    evaluation = runs.claim(worker="test")
    assert evaluation
    runs.fail_attempt(evaluation, Failure("checkpoint", "The adapter has no weights.", Fault.INPUT))
    assert "The adapter has no weights." in as_owner.get(f"/submissions/{submission.pk}/").content.decode()


def test_withdrawing_asks_first_and_cancels_the_evaluation(as_owner: Client, owner: User) -> None:
    submission = factories.submission(owner)
    address = f"/submissions/{submission.pk}/withdraw/"
    assert "cannot be undone" in as_owner.get(address).content.decode()
    submission.refresh_from_db()
    assert submission.status == "queued"
    as_owner.post(address)
    submission.refresh_from_db()
    assert submission.status == "withdrawn"
    assert factories.evaluation_of(submission).status == "cancelled"


def test_a_rejected_submission_cannot_be_withdrawn(owner: User, reviewer: User) -> None:
    from portal.review.models import Decision

    submission = factories.evaluated(owner)
    factories.review(submission, reviewer, Decision.Action.REJECT, reason="no config")
    with pytest.raises(services.TransitionRefused):
        services.withdraw(submission)


def test_staff_see_but_do_not_withdraw_for_others(as_reviewer: Client, owner: User) -> None:
    submission = factories.submission(owner)
    assert as_reviewer.post(f"/submissions/{submission.pk}/withdraw/").status_code == 404
    assert "Withdraw" not in as_reviewer.get(f"/submissions/{submission.pk}/").content.decode()
