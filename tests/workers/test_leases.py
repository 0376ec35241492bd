"""A lease is kept through a hiccup of the database, and given up only when somebody else has the work."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from django.db import OperationalError

from portal.runs import claims, services
from portal.runs.models import Evaluation
from tests.portal import factories
from workers import leases
from workers.leases import Lease

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def evaluation(settings: Any) -> Evaluation:
    settings.EVALUATION_LEASE_SECONDS = 0.04
    factories.submission(factories.user("owner"))
    claimed = services.claim(worker="w")
    assert claimed is not None
    return claimed


class Renewals:
    """Stands before `claims.renew`: which errors come first, and how often it was asked."""

    def __init__(self, *errors: Exception) -> None:
        self._errors = list(errors)
        self._renew = claims.renew
        self.answered = threading.Semaphore(0)

    def __call__(self, work: Evaluation, **options: Any) -> None:
        if self._errors:
            raise self._errors.pop(0)
        self._renew(work, **options)
        self.answered.release()


def test_it_is_renewed_again_after_the_database_was_away(
    evaluation: Evaluation, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    renewals = Renewals(OperationalError("gone"), OperationalError("gone"))
    monkeypatch.setattr(leases.claims, "renew", renewals)
    lease = Lease(evaluation)
    before = lease._renewed
    with lease.kept():
        assert renewals.answered.acquire(timeout=60)
        assert renewals.answered.acquire(timeout=60)
    assert caplog.text.count("the database is away") == 1
    assert lease._renewed > before, "what follows counts from the last renewal"


def test_the_thread_ends_when_somebody_else_has_the_work(
    evaluation: Evaluation, caplog: pytest.LogCaptureFixture
) -> None:
    Evaluation.objects.filter(pk=evaluation.pk).update(claim_id="00000000-0000-4000-8000-000000000000")
    with Lease(evaluation).kept():
        thread = next(thread for thread in threading.enumerate() if thread.name == "lease")
        thread.join(60)
        assert not thread.is_alive()
    assert "is no longer claimed by this worker" in caplog.text


def test_what_stalls_is_left_alone_when_somebody_else_has_the_work(
    evaluation: Evaluation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leases, "LOOK_SECONDS", 0.01)
    Evaluation.objects.filter(pk=evaluation.pk).update(claim_id="00000000-0000-4000-8000-000000000000")
    answer = threading.Event()
    with Lease(evaluation).kept() as check, pytest.raises(claims.ClaimLostError):
        leases.done_while(check, lambda: answer.wait(60))
    answer.set()
    assert leases.done_while(lambda: None, lambda: "files") == "files"
