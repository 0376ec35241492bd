"""The desk's rules stand in the database: neither the ORM nor SQL gets past them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import pytest
from django.contrib.auth.models import Permission
from django.db import DatabaseError, connection, transaction
from django.utils import timezone

from portal.accounts.models import Membership, User, personal_team
from portal.intake.services import TransitionRefused, withdraw
from portal.review import cases, waiting
from portal.review.models import (
    CaseClaim,
    ChangeRequest,
    Confirmation,
    Decision,
    TwoPersonRule,
)
from portal.review.services import confirm, decide, pending, undo
from portal.submissions.models import Submission
from tests.portal import factories

pytestmark = pytest.mark.django_db
Action = Decision.Action


@pytest.fixture
def second(db: None) -> User:
    """Another reviewer, with the right alone."""
    user = factories.user("second", is_staff=True)
    user.user_permissions.add(Permission.objects.get(codename="decide"))
    return User.objects.get(pk=user.pk)


@contextmanager
def refused(words: str) -> Iterator[None]:
    with pytest.raises(DatabaseError, match=words), transaction.atomic():
        yield


def sql(statement: str, *values: str | int) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement, values)


def insert(made: Submission, reviewer: User, action: str, reason: str = "because") -> None:
    """A decision past all services."""
    sql(
        "INSERT INTO review_decision (submission_id, reviewer_id, action, reason, proposed, created_at)"
        " VALUES (%s, %s, %s, %s, false, now())",
        made.pk,
        reviewer.pk,
        action,
        reason,
    )


def status_of(made: Submission) -> str:
    return Submission.objects.get(pk=made.pk).status


def test_nobody_decides_on_the_own_team_s_entry(owner: User, reviewer: User) -> None:
    made = factories.evaluated(owner)
    Membership.objects.create(team=made.team, user=reviewer)
    with pytest.raises(TransitionRefused, match="your own team"):
        cases.claim(made, reviewer=reviewer)
    with refused("own team"):
        CaseClaim.objects.create(
            submission=made, reviewer=reviewer, until=timezone.now() + timedelta(hours=1)
        )
    with refused("own team"):
        insert(made, reviewer, "publish")
    with refused("own team"):
        Decision.objects.create(submission=made, reviewer=reviewer, action=Action.PUBLISH)


def test_a_submitter_who_left_the_team_does_not_decide_either(reviewer: User) -> None:
    made = factories.evaluated(reviewer)
    Membership.objects.filter(user=reviewer).delete()
    with refused("own team"):
        insert(made, reviewer, "publish")


def test_a_case_is_claimed_before_it_is_decided(owner: User, reviewer: User, second: User) -> None:
    made = factories.evaluated(owner)
    with pytest.raises(TransitionRefused, match="Take the case first"):
        decide(submission=made, reviewer=reviewer, action=Action.PUBLISH)
    with refused("claimed before"):
        insert(made, reviewer, "publish")
    cases.claim(made, reviewer=second)
    with pytest.raises(cases.CaseClaimed, match="second has the case"):
        decide(submission=made, reviewer=reviewer, action=Action.PUBLISH)
    with refused("claimed before"):
        insert(made, reviewer, "publish")


def test_only_reviewers_decide(owner: User, stranger: User) -> None:
    made = factories.evaluated(owner)
    with pytest.raises(TransitionRefused, match="Only reviewers"):
        cases.claim(made, reviewer=stranger)
    with refused("Only a reviewer"):
        insert(made, stranger, "publish")


def test_a_claim_ends_by_itself_and_by_release(owner: User, reviewer: User, second: User) -> None:
    made = factories.evaluated(owner)
    held = cases.claim(made, reviewer=second)
    CaseClaim.objects.filter(pk=held.pk).update(until=timezone.now())
    with refused("claimed before"):
        insert(made, second, "reject")
    assert cases.claim(made, reviewer=reviewer).reviewer == reviewer
    cases.release(made, reviewer=reviewer)
    assert cases.claim_of(made) is None
    assert CaseClaim.objects.filter(submission=made, ended_at=None).count() == 0


def test_a_claim_is_taken_over_by_a_superuser_alone_and_on_record(
    owner: User, reviewer: User, second: User
) -> None:
    made = factories.evaluated(owner)
    cases.claim(made, reviewer=reviewer)
    with pytest.raises(cases.CaseClaimed):
        cases.claim(made, reviewer=second, take_over=True)
    with refused("The case is claimed"):
        CaseClaim.objects.update(ended_at=timezone.now(), ended_by=second)
    cases.release(made, reviewer=reviewer)
    cases.claim(made, reviewer=second)
    cases.claim(made, reviewer=reviewer, take_over=True)
    assert list(CaseClaim.objects.values_list("reviewer", "ended_by")) == [
        (reviewer.pk, reviewer.pk),
        (second.pk, reviewer.pk),
        (reviewer.pk, None),
    ]
    with refused("Cannot"):
        CaseClaim.objects.all().delete()
    with refused("Cannot"):
        CaseClaim.objects.filter(ended_at=None).update(reviewer=second)


def test_two_claims_of_a_case_do_not_fit(owner: User, reviewer: User, second: User) -> None:
    made = factories.evaluated(owner)
    cases.claim(made, reviewer=reviewer)
    with refused("case_claim_one_open"):
        sql(
            "INSERT INTO review_caseclaim (submission_id, reviewer_id, claimed_at, until)"
            " VALUES (%s, %s, now(), now() + interval '20 minutes')",
            made.pk,
            second.pk,
        )


def test_a_disqualification_takes_two_reviewers(owner: User, reviewer: User, second: User) -> None:
    TwoPersonRule.objects.get_or_create(action="disqualify")
    made = factories.published(owner)
    proposed = factories.review(made, reviewer, Action.DISQUALIFY, reason="copied")
    assert proposed.proposed and status_of(made) == "published"
    assert cases.claim_of(made) is None
    cases.claim(made, reviewer=reviewer)
    with pytest.raises(TransitionRefused, match="your own decision"):
        confirm(proposed, reviewer=reviewer, agreed=True)
    with refused("Another reviewer"):
        Confirmation.objects.create(decision=proposed, reviewer=reviewer, agreed=True)
    with refused("by a decision alone"):
        sql("UPDATE submissions_submission SET status = 'disqualified' WHERE id = %s", made.pk)
    with refused("waits for a second"):
        insert(made, reviewer, "rerun")
    cases.release(made, reviewer=reviewer)
    cases.claim(made, reviewer=second)
    confirm(proposed, reviewer=second, agreed=True)
    assert status_of(made) == "disqualified"
    with refused("Cannot"):
        Confirmation.objects.all().delete()


def test_the_second_reviewer_cannot_be_left_out(owner: User, reviewer: User, second: User) -> None:
    TwoPersonRule.objects.get_or_create(action="disqualify")
    made = factories.published(owner)
    cases.claim(made, reviewer=reviewer)
    with refused("needs a second reviewer"):
        insert(made, reviewer, "disqualify")
    Membership.objects.create(team=made.team, user=second)  # then nobody else could agree
    assert not factories.review(made, reviewer, Action.DISQUALIFY, reason="copied").proposed
    assert status_of(made) == "disqualified"


def test_a_declined_proposal_changes_nothing(owner: User, reviewer: User, second: User) -> None:
    TwoPersonRule.objects.get_or_create(action="disqualify")
    made = factories.published(owner)
    proposed = factories.review(made, reviewer, Action.DISQUALIFY, reason="copied")
    cases.claim(made, reviewer=second)
    with pytest.raises(TransitionRefused, match="give a reason"):
        confirm(proposed, reviewer=second, agreed=False)
    confirm(proposed, reviewer=second, agreed=False, reason="It is their own.")
    assert status_of(made) == "published" and pending(made) is None
    with refused("by a decision alone"):
        Submission.objects.filter(pk=made.pk).update(status="disqualified")


def test_who_proposed_can_take_it_back(owner: User, reviewer: User, second: User) -> None:
    TwoPersonRule.objects.get_or_create(action="disqualify")
    made = factories.published(owner)
    proposed = factories.review(made, reviewer, Action.DISQUALIFY, reason="copied")
    undo(proposed, reviewer=reviewer)
    cases.release(made, reviewer=reviewer)
    cases.claim(made, reviewer=second)
    with pytest.raises(TransitionRefused, match="does not wait"):
        confirm(proposed, reviewer=second, agreed=True)
    with refused("waits for nobody"):
        Confirmation.objects.create(decision=proposed, reviewer=second, agreed=True)


def test_two_for_the_first_places_of_a_board_alone(owner: User, reviewer: User, second: User) -> None:
    TwoPersonRule.objects.create(action="publish", top=1)
    best = factories.evaluated(owner, method="best", correct=90)
    assert factories.review(best, reviewer, Action.PUBLISH).proposed
    cases.claim(best, reviewer=second)
    confirm(Decision.objects.get(), reviewer=second, agreed=True)
    worse = factories.evaluated(owner, method="worse", correct=80)
    assert not factories.review(worse, reviewer, Action.PUBLISH).proposed


@pytest.mark.parametrize("status", ["published", "rejected", "received"])
def test_no_status_of_a_review_without_a_decision(owner: User, status: str) -> None:
    made = factories.evaluated(owner)
    with refused("by a decision alone"):
        sql("UPDATE submissions_submission SET status = %s WHERE id = %s", status, made.pk)


def test_the_reference_entries_of_the_site_are_nobody_s_own(reviewer: User) -> None:
    team = personal_team(reviewer)
    made = factories.evaluated(reviewer, kind=Submission.Kind.REFERENCE, team=team)
    factories.review(made, reviewer, Action.PUBLISH)
    assert status_of(made) == "published"


def test_the_record_of_changes_asked_for_stays(owner: User, reviewer: User) -> None:
    made = factories.evaluated(owner)
    factories.review(made, reviewer, Action.CHANGES, reason="Name the data.")
    with refused("Cannot"):
        ChangeRequest.objects.all().delete()
    with refused("Cannot"):
        ChangeRequest.objects.update(due_at=timezone.now() + timedelta(days=80))
    with refused("change_request_lapses_late"):
        ChangeRequest.objects.update(lapsed_at=timezone.now())
    with refused("Cannot"):
        Submission.objects.filter(pk=made.pk).delete()
    with refused("Cannot"):
        Submission.objects.filter(pk=made.pk).update(challenge="medical")


def test_a_record_is_dated_when_it_is_made_and_no_claim_is_for_long(owner: User, reviewer: User) -> None:
    made = factories.evaluated(owner)
    claim = cases.claim(made, reviewer=reviewer)
    for hours in (-24, 24):
        at = timezone.now() + timedelta(hours=hours)
        with pytest.raises(DatabaseError, match="dated when it is taken"), transaction.atomic():
            Decision.objects.create(
                submission=made, reviewer=reviewer, action=Action.REJECT, reason="A copy.", created_at=at
            )
    with pytest.raises(DatabaseError, match="within half an hour"), transaction.atomic():
        CaseClaim.objects.filter(pk=claim.pk).update(until=timezone.now() + timedelta(hours=1))


def test_what_was_proposed_on_a_submission_that_is_withdrawn_waits_for_nobody(
    owner: User, reviewer: User, second: User
) -> None:
    TwoPersonRule.objects.get_or_create(action="disqualify")
    made = factories.published(owner)
    factories.review(made, reviewer, Action.DISQUALIFY, reason="A copy.")
    assert waiting.waiting().filter(pk=made.pk).exists()
    withdraw(made)
    assert not waiting.waiting().exists() and waiting.count_for(second) == 0
