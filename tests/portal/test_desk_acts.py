"""What a reviewer's acts make of a case, and what its team is told."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from io import BytesIO
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from leaderboard.reading import case_history
from leaderboard.reading.changes import Kind, changes
from leaderboard.reading.queries import public_at
from portal.accounts.models import Team, User
from portal.intake import services as intake
from portal.intake import smoke_runs
from portal.intake.progress import smoke_run_of
from portal.intake.services import Files, TransitionRefused
from portal.notifications.mail import message_of
from portal.notifications.models import Delivery
from portal.review import cases
from portal.review.acts import ACTS, acts_for
from portal.review.deadlines import close_overdue, open_request
from portal.review.models import ChangeRequest, Decision, TwoPersonRule
from portal.review.services import confirm, undo, undoable
from portal.runs.models import Evaluation
from portal.submissions.models import Submission
from portal.transparency.models import Leaf
from portal.transparency.writing import write_due
from tests.portal import factories

pytestmark = pytest.mark.django_db
Action = Decision.Action


def mails(user: User) -> list[str]:
    """Subject and text of what is on its way to somebody, oldest first."""
    sent = Delivery.objects.filter(recipient=user).order_by("created_at", "pk")
    messages = [message_of(delivery) for delivery in sent.select_related("notification", "recipient")]
    return [f"{m.subject}\n{m.body}" for m in messages]


def again(made: Submission, **changes: Any) -> Submission:
    """The team amends its draft and sends it."""
    made.refresh_from_db()
    draft = factories.draft(made.submitter, **{"files": None, **changes})
    intake.amend(made, draft)
    made.refresh_from_db()
    return intake.send(made)


def with_other_adapter() -> Files:
    other = factories.adapter_bytes(seed=7)
    return replace(factories.files(), adapter=BytesIO(other), adapter_size=len(other))


def test_every_act_is_in_the_table_with_its_consequence() -> None:
    assert set(ACTS) == set(Action) - {Action.UNDO}
    assert all(len(act.consequence) > 40 and act.allowed for act in ACTS.values())


def test_what_is_offered_follows_from_the_status(owner: User, reviewer: User) -> None:
    made = factories.evaluated(owner)
    offered = [act.action for act in acts_for(made)]
    assert offered == ["publish", "changes", "reject", "rerun", "retrain", "hold"]
    assert [act.action for act in acts_for(made, on_hold=True)] == ["release"]
    published = factories.publish(made)
    assert [act.action for act in acts_for(published)] == ["rerun", "retrain", "disqualify"]


def test_changes_without_another_adapter_need_no_evaluation(
    owner: User, reviewer: User, as_owner: Client
) -> None:
    made = factories.evaluated(owner)
    factories.review(made, reviewer, Action.CHANGES, reason="Name your data.")
    made.refresh_from_db()
    assert made.status == "received" and made.is_returned
    page = as_owner.get(f"/submissions/{made.pk}/").content.decode()
    assert "Name your data." in page and "asked for changes" in page and "Delete" not in page
    assert "Name your data." in mails(owner)[-1] and "until" in mails(owner)[-1]
    told = [one.what for one in case_history.history_of(made)]
    assert "A draft again" in told and told.count("Begun as a draft") == 1
    assert again(made, description="Now with its data.").status == "in_review"
    assert made.evaluations.count() == 1
    assert not made.findings.filter(code="submission.duplicate_checkpoint").exists()
    assert "changed and sent it again" in mails(owner)[-1] and "evaluated" not in mails(owner)[-1]
    reviewed = ChangeRequest.objects.get().reviewed
    assert reviewed["description"] == "" and reviewed["config_text"]


def test_another_adapter_is_evaluated_and_its_scores_count(
    owner: User, reviewer: User, client: Client
) -> None:
    made = factories.evaluated(owner, correct=70)
    factories.review(made, reviewer, Action.CHANGES, reason="Another rank, please.")
    sent = again(made, files=with_other_adapter())
    assert sent.status == "queued"
    factories.publish(factories.evaluate(sent, correct=60))
    board = client.get("/leaderboard/finance/").content.decode()
    assert "60.00" in board and "70.00" not in board


def test_nobody_is_shown_scores_of_an_adapter_that_was_changed_before_publication(
    owner: User, reviewer: User, client: Client
) -> None:
    made = factories.evaluated(owner, correct=70)
    before = factories.evaluation_of(made)
    factories.review(made, reviewer, Action.CHANGES, reason="Another rank, please.")
    made = factories.publish(factories.evaluate(again(made, files=with_other_adapter()), correct=60))
    write_due()
    stated = Leaf.objects.exclude(evaluation=None).values_list("evaluation", flat=True)
    assert list(stated) == [factories.evaluation_of(made).pk]
    told = client.get(f"/api/v1/submissions/{made.pk}/").json()
    assert [one["id"] for one in told["evaluations"]] == list(stated)
    assert client.get(f"/api/v1/evaluations/{before.pk}/").status_code == 404


def test_after_a_smoke_run_changes_need_no_other_where_the_adapter_is_the_same(
    owner: User, reviewer: User
) -> None:
    made = factories.tried(owner)
    smoke_runs.evaluate_in_full(made)
    factories.evaluate(made)
    factories.review(made, reviewer, Action.CHANGES, reason="Name your data.")
    assert again(made, smoke_run=True, description="Its data.").status == "in_review"
    factories.review(made, reviewer, Action.CHANGES, reason="Another rank, please.")
    sent = again(made, smoke_run=True, files=with_other_adapter())
    assert sent.status == "queued" and smoke_run_of(sent) is None
    assert factories.smoke_run(sent).status == "tried"
    smoke_runs.evaluate_in_full(sent)
    assert factories.evaluate(sent).status == "in_review"


def test_challenge_and_team_of_what_was_sent_stay(owner: User, reviewer: User) -> None:
    made = factories.evaluated(owner)
    factories.review(made, reviewer, Action.CHANGES, reason="Name your data.")
    other = Team.objects.create(name="Others")
    other.memberships.create(user=owner)
    for moved in ({"challenge": "medical"}, {"team": other}):
        with pytest.raises(TransitionRefused, match="stay"):
            again(made, **moved)
    with pytest.raises(TransitionRefused, match="Withdraw it instead"):
        intake.delete(made)
    intake.withdraw(made)
    made.refresh_from_db()
    assert made.status == "withdrawn"


def test_what_does_not_come_in_time_is_closed_with_a_mail(
    owner: User, reviewer: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, kept = factories.evaluated(owner), factories.evaluated(owner, method="kept")
    tomorrow, later = (timezone.now() + timedelta(days=days) for days in (1, 2))
    factories.review(kept, reviewer, Action.CHANGES, reason="Name your data.")
    factories.review(made, reviewer, Action.CHANGES, reason="Name your data.", due_at=tomorrow)
    assert close_overdue() == 0
    monkeypatch.setattr("portal.review.deadlines.timezone.now", lambda: later)
    assert close_overdue() == 1 and close_overdue() == 0
    made.refresh_from_db()
    assert made.status == "withdrawn" and "is closed" in mails(owner)[-1]
    assert open_request(Submission.objects.get(pk=kept.pk))


@pytest.mark.parametrize("days", [-1, 91])
def test_a_deadline_is_ahead_and_not_far(owner: User, reviewer: User, days: int) -> None:
    made = factories.evaluated(owner)
    with pytest.raises(TransitionRefused, match="deadline"):
        factories.review(
            made, reviewer, Action.CHANGES, reason="x", due_at=timezone.now() + timedelta(days=days)
        )


def test_undo_is_a_decision_of_its_own(owner: User, reviewer: User) -> None:
    made = factories.evaluated(owner)
    rejection = factories.review(made, reviewer, Action.REJECT, reason="mistake")
    undo(rejection, reviewer=reviewer)
    made.refresh_from_db()
    assert made.status == "in_review"
    assert list(made.decisions.values_list("action", flat=True)) == ["reject", "undo"]
    assert "the rejection was taken back" in mails(owner)[-1]
    assert "evaluated and in review" not in mails(owner)[-1]
    assert undoable(made) is None


def test_a_returned_draft_comes_back_while_its_team_did_not_touch_it(owner: User, reviewer: User) -> None:
    made = factories.evaluated(owner)
    undo(factories.review(made, reviewer, Action.CHANGES, reason="x"), reviewer=reviewer)
    made.refresh_from_db()
    assert made.status == "in_review" and not made.adapter_file
    asked = factories.review(made, reviewer, Action.CHANGES, reason="x")
    made.refresh_from_db()
    intake.amend(made, factories.draft(owner, files=None, description="new"))
    with pytest.raises(TransitionRefused, match="changed the draft"):
        undo(asked, reviewer=reviewer)


def test_what_was_public_or_is_long_ago_cannot_be_undone(
    owner: User, reviewer: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    published = factories.published(owner)
    with pytest.raises(TransitionRefused, match="cannot be undone"):
        undo(published.decisions.get(), reviewer=reviewer)
    made = factories.evaluated(owner, method="other")
    rejection = factories.review(made, reviewer, Action.REJECT, reason="mistake")
    monkeypatch.setattr("portal.review.services.UNDO_SPAN", timedelta(0))
    with pytest.raises(TransitionRefused, match="minutes only"):
        undo(rejection, reviewer=reviewer)


def test_a_taken_back_rejection_can_be_restored(owner: User, reviewer: User) -> None:
    made = factories.evaluated(owner)
    factories.review(made, reviewer, Action.REJECT, reason="no code")
    undo(factories.review(made, reviewer, Action.REOPEN), reviewer=reviewer)
    made.refresh_from_db()
    assert made.status == "rejected" and "no code" in mails(owner)[-1]


def test_nothing_is_decided_while_a_case_is_on_hold(owner: User, reviewer: User) -> None:
    made = factories.evaluated(owner)
    factories.review(made, reviewer, Action.HOLD, reason="We wait for an answer.")
    assert "on hold" in mails(owner)[-1] and "We wait for an answer." in mails(owner)[-1]
    with pytest.raises(TransitionRefused, match="Release it first"):
        factories.review(made, reviewer, Action.PUBLISH)
    factories.review(made, reviewer, Action.RELEASE)
    assert "goes on" in mails(owner)[-1]
    with pytest.raises(TransitionRefused, match="not on hold"):
        factories.review(made, reviewer, Action.RELEASE)
    undo(made.decisions.latest("pk"), reviewer=reviewer)
    with pytest.raises(TransitionRefused, match="Release it first"):
        factories.review(made, reviewer, Action.PUBLISH)


def test_a_reinstated_entry_is_ranked_again_and_the_log_says_why(
    owner: User, reviewer: User, client: Client
) -> None:
    made = factories.published(owner, method="Wronged")
    shown = timezone.now()
    factories.review(made, reviewer, Action.DISQUALIFY, reason="copied")
    away = timezone.now()
    factories.review(made, reviewer, Action.REINSTATE, reason="It is their own.")
    made.refresh_from_db()
    assert made.status == "published" and made.published_at and made.published_at < shown
    assert "Wronged" in client.get("/leaderboard/finance/").content.decode()
    assert [(c.kind, c.reason) for c in changes().changes] == [
        (Kind.REINSTATED, "It is their own."),
        (Kind.DISQUALIFIED, "copied"),
        (Kind.PUBLISHED, ""),
    ]
    assert "It is their own." in client.get("/changes/").content.decode()
    assert "is reinstated" in mails(owner)[-1]
    assert [public_at("finance", moment).count() for moment in (shown, away, timezone.now())] == [1, 0, 1]


def test_a_disqualification_is_told_when_it_takes_effect(owner: User, reviewer: User) -> None:
    TwoPersonRule.objects.get_or_create(action="disqualify")
    second = factories.user("second", is_staff=True, is_superuser=True)
    made = factories.published(owner)
    proposed = factories.review(made, reviewer, Action.DISQUALIFY, reason="copied")
    assert [c.kind for c in changes().changes] == [Kind.PUBLISHED]
    assert "proposes" in mails(second)[-1] and "copied" in mails(second)[-1]
    cases.claim(made, reviewer=second)
    said = confirm(proposed, reviewer=second, agreed=True)
    latest = changes().changes[0]
    assert (latest.kind, latest.at, latest.reason) == (Kind.DISQUALIFIED, said.created_at, "copied")
    assert "agreed" in mails(reviewer)[-1]


def test_retraining_starts_from_the_method_card(owner: User, reviewer: User) -> None:
    made = factories.evaluated(owner)
    factories.review(made, reviewer, Action.RETRAIN)
    run = made.retrainings.get()
    assert (run.requested_by, run.rounds, run.method) == (reviewer, 8, "FedAvg, retrained")


def test_evaluating_again_before_publication_tells_when_it_is_finished(owner: User, reviewer: User) -> None:
    made = factories.evaluated(owner)
    factories.review(made, reviewer, Action.RERUN)
    assert Evaluation.objects.filter(submission=made, priority=1).exists()
    factories.evaluate(made)
    assert "evaluated and in review" in mails(owner)[-1]
