"""What a team may send a day, and what counts."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import closing
from datetime import timedelta
from functools import partial
from queue import Queue
from threading import Thread
from typing import Any

import pytest
from django.db import connection, transaction
from django.test import Client
from django.utils import timezone

from evaluation.errors import Fault
from portal.accounts.models import User, personal_team
from portal.intake import services
from portal.intake.drafts import InvalidSubmission
from portal.intake.quotas import quota_of
from portal.outages.causes import Failure
from portal.runs import services as runs
from portal.submissions.models import Submission
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
    runs.fail_attempt(evaluation, Failure("worker_error", "ours", Fault.INPUT))
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


def waits_for_a_lock(process: int) -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT wait_event_type FROM pg_stat_activity WHERE pid = %s", [process])
        row = cursor.fetchone()
    return bool(row) and row[0] == "Lock"


class Meanwhile:
    """An action in a transaction of another connection, while the caller's is still open."""

    def __init__(self, act: Callable[[], object]) -> None:
        self.refusal: list[str] = []
        self._act = act
        self._process: Queue[int] = Queue()
        self._thread = Thread(target=self._run, name="meanwhile")

    def _run(self) -> None:
        with closing(connection), connection.cursor() as cursor:
            cursor.execute("SELECT pg_backend_pid()")
            self._process.put(cursor.fetchone()[0])
            try:
                self._act()
            except InvalidSubmission as refused:
                self.refusal = [finding.code for finding in refused.findings]

    def start_and_stop_at_a_lock(self) -> None:
        """Return once it waits for what the caller holds, or is through."""
        self._thread.start()
        process = self._process.get(timeout=30)
        while self._thread.is_alive() and not waits_for_a_lock(process):
            time.sleep(0.01)

    def join(self) -> None:
        self._thread.join(timeout=60)
        assert not self._thread.is_alive()


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("way", ["submit", "send"])
def test_two_submissions_at_one_moment_do_not_slip_past_the_quota(
    owner: User, settings: Any, way: str
) -> None:
    settings.SUBMISSIONS_PER_DAY = 1
    drafts = [factories.draft(owner, method=name) for name in ("a", "b")]
    if way == "submit":
        first, second = (partial(services.submit, draft) for draft in drafts)
    else:
        first, second = (partial(services.send, services.create(draft)) for draft in drafts)
    meanwhile = Meanwhile(second)
    with transaction.atomic():
        first()
        # The other one sees nothing of this transaction yet: for all it knows nothing was sent today.
        meanwhile.start_and_stop_at_a_lock()
    meanwhile.join()
    assert meanwhile.refusal == ["submission.quota"]
    assert used(owner) == 1


@pytest.mark.django_db(transaction=True)
def test_two_drafts_at_one_moment_do_not_slip_past_their_limit(
    owner: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("portal.intake.quotas.OPEN_DRAFTS", 1)
    first, second = (partial(services.create, factories.draft(owner, method=name)) for name in ("a", "b"))
    meanwhile = Meanwhile(second)
    with transaction.atomic():
        first()
        meanwhile.start_and_stop_at_a_lock()
    meanwhile.join()
    assert meanwhile.refusal == ["submission.too_many_drafts"]
    assert Submission.objects.filter(team=personal_team(owner)).count() == 1
