"""What a team may send a day, and what counts."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from portal.accounts.models import User, personal_team
from portal.intake import services
from portal.intake.drafts import InvalidSubmission
from portal.intake.quotas import quota_of
from portal.runs import services as runs
from tests.portal import factories

pytestmark = pytest.mark.django_db


def used(owner: User) -> int:
    return quota_of(personal_team(owner)).used


def test_a_draft_costs_nothing_until_it_is_sent(owner: User) -> None:
    submission = services.create(factories.draft(owner))
    assert used(owner) == 0
    services.send(submission)
    assert used(owner) == 1


def test_what_failed_on_our_side_is_not_counted(owner: User) -> None:
    submission = factories.submission(owner)
    evaluation = runs.claim(worker="test")
    assert evaluation and used(owner) == 1
    runs.fail_attempt(evaluation, code="worker_error", message="ours", retryable=False)
    assert used(owner) == 0
    submission.refresh_from_db()
    services.withdraw(submission)
    assert used(owner) == 0


def test_withdrawn_before_its_evaluation_is_not_counted_and_afterwards_is(owner: User) -> None:
    services.withdraw(factories.submission(owner))
    assert used(owner) == 0
    running = factories.submission(owner)
    assert runs.claim(worker="test")
    services.withdraw(running)
    assert used(owner) == 1
    services.withdraw(factories.evaluated(owner))
    assert used(owner) == 2


def test_only_the_last_24_hours_count(owner: User, monkeypatch: pytest.MonkeyPatch) -> None:
    factories.submission(owner)
    later = timezone.now() + timedelta(hours=25)
    monkeypatch.setattr("portal.intake.quotas.timezone.now", lambda: later)
    assert used(owner) == 0


def test_an_old_draft_counts_on_the_day_it_is_sent(owner: User, settings: Any) -> None:
    settings.SUBMISSIONS_PER_DAY = 1
    first, second = (services.create(factories.draft(owner, method=name)) for name in ("a", "b"))
    services.send(first)
    with pytest.raises(InvalidSubmission) as refusal:
        services.send(second)
    assert [f.code for f in refusal.value.findings] == ["submission.quota"]
    second.refresh_from_db()
    assert second.status == "received"


def test_the_user_sees_how_much_is_left(as_owner: Client, owner: User, settings: Any) -> None:
    settings.SUBMISSIONS_PER_DAY = 5
    factories.submission(owner)
    factories.submission(owner, method="again")
    for path in ("/submit/", "/submissions/"):
        assert "2 of 5 submissions used" in as_owner.get(path).content.decode()
