"""A smoke run before the evaluation in full: what its team sees of it, and that it counts nowhere."""

from __future__ import annotations

import json
from datetime import timedelta
from io import BytesIO
from typing import Any

import pytest
from django.core.files.base import File
from django.db import DatabaseError, IntegrityError, transaction
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from evaluation.errors import Fault
from leaderboard.reading import items, queries
from portal.accounts.models import Membership, User, personal_team
from portal.intake import services, smoke_runs
from portal.intake.drafts import TransitionRefused
from portal.intake.progress import attempts_of, smoke_run_of, steps_of
from portal.intake.quotas import quota_of
from portal.notifications.mail import message_of
from portal.notifications.models import Delivery
from portal.outages.causes import Failure
from portal.review.models import Decision
from portal.runs import forecast
from portal.runs import services as runs
from portal.runs.models import Evaluation
from portal.submissions.models import Submission
from tests.portal import factories

pytestmark = pytest.mark.django_db

ITEMS = [
    {
        "id": 1,
        "prompt": "Is it good?",
        "completion": "Yes",
        "prediction": "yes",
        "target": "yes",
        "correct": True,
    },
    {"id": 2, "prompt": "And this?", "completion": "?!", "prediction": "", "target": "no", "correct": False},
]


def submission(owner: User, **changes: Any) -> Submission:
    return factories.submission(owner, smoke_run=True, **changes)


LINES = "".join(json.dumps(item) + "\n" for item in ITEMS).encode()


def tried(owner: User, **changes: Any) -> Submission:
    """A submission whose smoke run is done."""
    return factories.smoke_run(submission(owner, **changes), LINES)


def test_a_submission_waits_after_its_smoke_run_until_its_team_goes_on(owner: User) -> None:
    made = submission(owner)
    assert (made.status, factories.evaluation_of(made).smoke_run) == ("queued", True)
    assert [step.label for step in steps_of(made) if step.state == "current"] == ["Smoke run"]
    with pytest.raises(TransitionRefused, match="It is queued"):
        smoke_runs.evaluate_in_full(made)
    factories.smoke_run(made)
    assert (made.status, factories.evaluation_of(made).status) == ("tried", "tried")
    assert runs.claim(worker="test") is None

    smoke_runs.evaluate_in_full(made)
    made.refresh_from_db()
    assert (made.status, factories.evaluation_of(made).smoke_run) == ("queued", False)
    assert [step.label for step in steps_of(made) if step.state == "current"] == ["Queued"]
    assert factories.evaluate(made).status == "in_review"
    found = smoke_run_of(made)
    assert found and found.decide_by is None
    assert [attempt.evaluation.smoke_run for attempt in attempts_of(made)] == [False]


def test_it_may_be_withdrawn_and_is_after_a_week_of_silence(owner: User) -> None:
    services.withdraw(tried(owner))
    late, in_time = tried(owner, method="late"), tried(owner, method="in time")
    long_ago = timezone.now() - Submission.DECISION_TIME - timedelta(minutes=1)
    Submission.objects.filter(pk=late.pk).update(status_changed_at=long_ago)
    assert smoke_runs.withdraw_undecided() == 1
    late.refresh_from_db()
    in_time.refresh_from_db()
    assert (late.status, in_time.status) == ("withdrawn", "tried")
    with pytest.raises(TransitionRefused):
        smoke_runs.evaluate_in_full(late)


def test_a_failed_smoke_run_fails_the_submission(owner: User) -> None:
    made = submission(owner)
    evaluation = runs.claim(worker="test")
    assert evaluation
    runs.fail_attempt(evaluation, Failure("checkpoint", "The adapter cannot be loaded.", Fault.INPUT))
    made.refresh_from_db()
    assert made.status == "failed" and smoke_run_of(made) is None


class TestTheDatabase:
    """Holds that a smoke run is never a result, whatever code does."""

    def test_lets_none_succeed_and_none_but_it_be_tried(self, owner: User) -> None:
        smoke, full = submission(owner), factories.submission(owner, method="in full")
        assert runs.claim(worker="test") and runs.claim(worker="test")
        for made, status in ((smoke, "succeeded"), (full, "tried")):
            with pytest.raises(IntegrityError, match="smoke_run_never_succeeds"), transaction.atomic():
                Evaluation.objects.filter(submission=made).update(
                    status=status, claim_id=None, lease_expires_at=None, finished_at=timezone.now()
                )

    @pytest.mark.parametrize("changes", [{"official": True, "unofficial_reasons": ()}, {"n": 21}])
    def test_takes_no_official_score_and_no_more_items_of_one(self, changes: Any, owner: User) -> None:
        submission(owner)
        evaluation = runs.claim(worker="test")
        assert evaluation
        with pytest.raises(DatabaseError, match="few items, and no official score"), transaction.atomic():
            scored = factories.smoke_run_score("fpb", **changes)
            runs.record_score(evaluation, scored, items=File(BytesIO(b"{}\n")))

    def test_lets_nobody_call_one_an_evaluation_in_full_later(self, owner: User) -> None:
        made = submission(owner)
        with pytest.raises(DatabaseError, match="purpose_for_good"), transaction.atomic():
            Evaluation.objects.filter(submission=made).update(smoke_run=False)

    def test_sends_no_submission_from_its_smoke_run_to_review(self, owner: User) -> None:
        made = tried(owner)
        with pytest.raises(DatabaseError, match="Invalid transition"), transaction.atomic():
            Submission.objects.filter(pk=made.pk).update(status="in_review")


def test_boards_answers_and_strangers_see_nothing_of_it(owner: User, client: Client) -> None:
    made = tried(owner)
    smoke = factories.evaluation_of(made)
    assert not queries.counting([made.pk]).exists()
    smoke_runs.evaluate_in_full(made)
    factories.publish(factories.evaluate(made))
    assert [one.smoke_run for one in queries.counting([made.pk])] == [False]
    assert {score.n for score in items.public_scores([made.pk])} == {100}
    assert client.get(reverse("api-evaluation", args=[smoke.pk])).status_code == 404
    assert client.get(reverse("api-items", args=[smoke.pk, "fpb"])).status_code == 404
    seen = client.get(reverse("api-submission", args=[made.pk])).json()
    assert [one["smoke_run"] for one in seen["evaluations"]] == [False]


def test_with_the_evaluation_after_it_it_is_one_submission_of_the_day(owner: User) -> None:
    team = personal_team(owner)
    made = tried(owner)
    assert quota_of(team).used == 1
    smoke_runs.evaluate_in_full(made)
    assert quota_of(team).used == 1
    services.withdraw(made)
    services.withdraw(tried(owner, method="another"))
    assert quota_of(team).used == 2


@pytest.mark.parametrize("protocols", [(1,), (1, 2)])
def test_there_is_none_of_an_adapter_that_was_evaluated_in_full(
    owner: User, reviewer: User, settings: Any, protocols: tuple[int, ...]
) -> None:
    settings.LEADERBOARD_PROTOCOLS = protocols
    made = tried(owner)
    smoke_runs.evaluate_in_full(made)
    for _ in protocols:
        made = factories.evaluate(made)
    factories.review(made, reviewer, Decision.Action.CHANGES, reason="Name your data.")
    made.refresh_from_db()
    services.amend(made, factories.draft(owner, smoke_run=True, files=None, description="Now with its data."))
    assert services.send(made).status == "in_review"
    assert made.evaluations.count() == 1 + len(protocols)


def test_it_is_expected_to_be_no_longer_than_an_evaluation_in_full(owner: User) -> None:
    factories.evaluated(owner)
    spans, size = forecast._spans(), factories.base_model().parameters or 0
    smoke, full = spans(("finance", 1, size, True)), spans(("finance", 1, size, False))
    assert smoke and full and smoke[0] < full[0] and smoke[1] == full[1]
    expected = forecast.expectation(factories.evaluation_of(submission(owner)))
    assert expected.position == 1


def test_its_team_gets_a_mail_that_says_until_when_to_decide(owner: User) -> None:
    made = tried(owner)
    told = Delivery.objects.get(notification__event="submission.tried", recipient=owner)
    assert made.decide_by and f"withdrawn on {made.decide_by:%Y-%m-%d}" in message_of(told).body


def test_the_page_shows_answers_and_the_way_on_to_the_team_alone(owner: User, client: Client) -> None:
    made = tried(owner)
    page, answers = made.get_absolute_url(), reverse("submissions:smoke-run", args=[made.pk])
    go_on = reverse("submissions:evaluate", args=[made.pk])
    assert client.post(go_on).status_code == 302  # to the sign-in
    client.force_login(factories.user("stranger"))
    assert [client.get(answers).status_code, client.post(go_on).status_code] == [404, 404]

    mate = factories.user("mate")
    Membership.objects.create(team=made.team, user=mate)
    client.force_login(mate)
    shown = client.get(page).content.decode()
    assert "12 of 20" in shown and "not a score" in shown and "38.7–78.1" in shown
    assert "your team decides until" in client.get(reverse("submissions:list")).content.decode()
    shown = client.get(answers).content.decode()
    assert "And this?" in shown and "1 could not be read" in shown
    assert client.post(go_on).status_code == 302
    made.refresh_from_db()
    assert made.status == "queued"
    client.post(go_on)
    assert "waits for its team" in client.get(page).content.decode()


def test_the_form_asks_for_one_and_a_draft_keeps_the_wish(owner: User, client: Client) -> None:
    client.force_login(owner)
    fields = {
        "challenge": "finance",
        "base_model": factories.base_model().pk,
        "team": personal_team(owner).pk,
        "not_trained_on_test_items": "on",
        "method": "FedAvg",
        "smoke_run": "on",
        "action": "save",
        **factories.uploads(),
    }
    assert client.post(reverse("submissions:create"), fields).status_code == 302
    draft = Submission.objects.get()
    assert "checked" in client.get(reverse("submissions:edit", args=[draft.pk])).content.decode()
    client.post(reverse("submissions:send", args=[draft.pk]))
    assert factories.evaluation_of(draft).smoke_run
