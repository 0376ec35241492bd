"""Outages cost time only: work waits with growing pauses, says for what, and uses up no attempt."""

from __future__ import annotations

import errno
import threading
from datetime import timedelta
from typing import Any

import pytest
from django.core import mail
from django.core.files.base import ContentFile
from django.db.utils import OperationalError
from django.test import Client
from django.utils import timezone

from evaluation import rules
from evaluation.errors import (
    CheckpointError,
    DataError,
    EngineCrashError,
    Fault,
    HubError,
    OutOfMemoryError,
    SandboxError,
)
from portal.accounts.models import User
from portal.baselines import queue as baselines
from portal.intake.progress import progress_of
from portal.notifications import outages as mails
from portal.outages import records, waiting
from portal.outages.causes import DISK, HUB, Failure, StorageError, failure_of, storage_access
from portal.outages.models import Heartbeat, Outage
from portal.runs import claims
from portal.runs import services as runs
from portal.runs.models import BaselineRun, Evaluation
from portal.submissions.models import HubFetch, Submission
from tests.portal import baselines as baseline_runs
from tests.portal import factories
from tests.portal.conftest import as_owner, owner, quick_passwords, reviewer, storage
from workers import deliver, leases

__all__ = ["as_owner", "owner", "quick_passwords", "reviewer", "storage"]

pytestmark = pytest.mark.django_db(transaction=True)

HUB_AWAY = Failure(HUB.code, "The hub answered 503.", Fault.OUTAGE)
DISK_FULL = Failure(DISK.code, "No space left on device.", Fault.OUTAGE)
WORK = (Evaluation, BaselineRun, HubFetch)


@pytest.fixture
def submission(owner: User) -> Submission:
    return factories.submission(owner)


def claimed(worker: str = "here:1") -> Evaluation:
    evaluation = runs.claim(worker=worker)
    assert evaluation
    return evaluation


def the_pause_is_over() -> None:
    Evaluation.objects.update(waits_until=timezone.now() - timedelta(seconds=1))


# Which errors are what


@pytest.mark.parametrize(
    ("error", "code", "fault"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "disk", "outage"),
        (OSError(errno.EDQUOT, "Quota exceeded"), "disk", "outage"),
        (OSError(errno.EIO, "Input/output error"), "disk", "outage"),
        (MemoryError(), "memory", "outage"),
        (HubError("the hub answered 503"), "hub", "outage"),
        (OperationalError("server closed the connection"), "database", "outage"),
        (SandboxError("no user namespaces"), "sandbox", "outage"),
        (CheckpointError("it does not fit"), "checkpoint", "input"),
        (DataError("no rows"), "data", "input"),
        (EngineCrashError("killed"), "engine_crash", "crash"),
        (OutOfMemoryError("a single prompt"), "out_of_memory", "crash"),
        (ZeroDivisionError(), "worker_error", "crash"),
    ],
)
def test_an_error_is_an_outage_the_submissions_own_fault_or_a_crash(
    error: Exception, code: str, fault: str
) -> None:
    failure = failure_of(error)
    assert (failure.code, failure.fault) == (code, fault)


def test_what_a_full_disk_made_of_a_download_is_no_fault_of_the_hub() -> None:
    try:
        try:
            raise OSError(errno.ENOSPC, "No space left on device")
        except OSError as error:
            raise HubError("the hub did not deliver") from error
    except HubError as error:
        assert failure_of(error).code == "disk"


@pytest.mark.parametrize("behind", [errno.EROFS, errno.ENOSPC, errno.ESTALE])
def test_a_storage_that_is_full_or_read_only_is_no_matter_of_the_workers_disk(behind: int) -> None:
    with pytest.raises(StorageError) as raised, storage_access():
        raise OSError(behind, "as the storage says")
    assert failure_of(raised.value).code == "storage"


# Waiting


def test_workers_are_woken_when_a_pause_ends_and_not_for_ever(submission: Submission) -> None:
    runs.fail_attempt(claimed(), HUB_AWAY)
    evaluation = submission.evaluations.get()
    assert not waiting.has_just_come_due(Evaluation) and "next try at" in evaluation.wait_in_words
    the_pause_is_over()
    evaluation.refresh_from_db()
    assert waiting.has_just_come_due(Evaluation)
    assert evaluation.wait_in_words == "waiting for the model hub, next try when a worker is free"
    Evaluation.objects.update(waits_until=timezone.now() - timedelta(minutes=1))
    assert not waiting.has_just_come_due(Evaluation)


def test_an_outage_uses_up_no_attempt_and_the_pauses_grow(submission: Submission) -> None:
    pauses = []
    for _ in range(9):
        evaluation = claimed()
        before = timezone.now()
        assert runs.fail_attempt(evaluation, HUB_AWAY) == "queued"
        evaluation.refresh_from_db()
        assert evaluation.attempts == 0 and evaluation.waits_until and evaluation.waiting_since
        pauses.append((evaluation.waits_until - before).total_seconds())
        assert runs.claim(worker="elsewhere:1") is None, "not before its time, anywhere"
        waited = max(2 * (timezone.now() - evaluation.waiting_since), timedelta(seconds=2 * pauses[-1]))
        Evaluation.objects.update(waiting_since=timezone.now() - waited)
        the_pause_is_over()
    assert 12 <= pauses[0] <= 18 and pauses[0] < pauses[3] < pauses[5]
    assert 720 <= pauses[-1] <= 1090, "a quarter of an hour, more or less"
    submission.refresh_from_db()
    assert submission.status == "queued"


def test_success_ends_the_wait(submission: Submission) -> None:
    runs.fail_attempt(claimed(), HUB_AWAY)
    the_pause_is_over()
    evaluation = claimed()
    for benchmark in rules.of("finance", evaluation.protocol).benchmarks:
        runs.record_score(evaluation, factories.score(benchmark), items=ContentFile(b"{}\n"))
        evaluation.refresh_from_db()
        assert evaluation.waiting_since is None and evaluation.outage is None, "it got further"
    runs.succeed(evaluation, provenance={})


def test_after_the_operators_patience_it_fails_with_the_reason(submission: Submission, settings: Any) -> None:
    runs.fail_attempt(claimed(), HUB_AWAY)
    Evaluation.objects.update(waiting_since=timezone.now() - timedelta(hours=25))
    the_pause_is_over()
    assert runs.fail_attempt(claimed(), HUB_AWAY) == "failed"
    evaluation = submission.evaluations.get()
    assert evaluation.error_code == "hub" and evaluation.outage is None
    assert "It waited 1 day, 1 hour for the model hub, in vain." in evaluation.error_message
    again = runs.enqueue(submission, evaluation.protocol)
    assert claimed().pk == again.pk, "who asks again begins anew"


def test_other_work_goes_on_and_other_machines_try_what_waits_for_one(owner: User) -> None:
    first, second = factories.submission(owner), factories.submission(owner)
    runs.fail_attempt(claimed("full:1"), DISK_FULL)
    assert claimed("full:1").submission == second
    assert runs.claim(worker="full:2") is None, "the disk of all processes there"
    elsewhere = claimed("roomy:1")
    assert elsewhere.submission == first
    runs.fail_attempt(elsewhere, DISK_FULL)
    assert runs.claim(worker="full:1") is None and runs.claim(worker="roomy:1") is None


def test_work_that_breaks_its_worker_again_and_again_is_ended(submission: Submission) -> None:
    for status in ("queued", "failed"):
        evaluation = claimed()
        runs.fail_attempt(evaluation, HUB_AWAY)
        the_pause_is_over()
        assert runs.fail_attempt(claimed(), Failure("engine_crash", "It died.", Fault.CRASH)) == status
    assert submission.evaluations.get().error_message == "It died."


def test_a_training_waits_alike_and_a_new_round_ends_it(reviewer: User) -> None:
    baseline_runs.run(reviewer)
    run = baselines.claim(worker="here:1")
    assert run and baselines.fail_attempt(run, DISK_FULL) == "queued"
    assert baselines.claim(worker="here:1") is None
    again = baselines.claim(worker="there:1")
    assert again and again.attempts == 0


# What people see


def test_the_submitter_reads_what_it_waits_for_and_when_it_is_tried(
    submission: Submission, owner: User, as_owner: Client
) -> None:
    runs.fail_attempt(claimed(), HUB_AWAY)
    evaluation = submission.evaluations.get()
    progress = progress_of(evaluation)
    assert progress and evaluation.waits_until and progress.queue_position is None
    words = f"waiting for the model hub, next try at {evaluation.waits_until:%H:%M:%S} UTC"
    assert progress.phase == words
    page = as_owner.get(f"/submissions/{submission.pk}/").content.decode()
    assert words[1:] in page
    [row] = as_owner.get(f"/api/v1/submissions/{submission.pk}/").json()["evaluations"]
    assert row["waiting_for"] == "the model hub" and row["next_try_at"] and row["waiting_since"]
    assert row["progress"]["phase"] == words


def test_the_operators_get_one_mail_for_a_cause_and_one_when_it_is_over(
    owner: User, reviewer: User, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(5):
        factories.submission(owner)
    for _ in range(5):
        runs.fail_attempt(claimed(), HUB_AWAY)
        mails.tell()
    assert caplog.text.count("work waits for the model hub") == 1
    [outage] = Outage.objects.all()
    assert outage.count == 5
    deliver.drain()
    [began] = [message for message in mail.outbox if message.to == [reviewer.email]]
    assert began.subject == "Work waits for the model hub" and "The hub answered 503." in began.body

    claims.cancel(Evaluation.objects.all())
    records.end_those_nobody_waits_for(WORK)
    mails.tell()
    deliver.drain()
    assert len([message for message in mail.outbox if message.to == [reviewer.email]]) == 1, (
        "it may come back"
    )
    Outage.objects.update(ended_at=timezone.now() - timedelta(minutes=6))
    mails.tell()
    deliver.drain()
    over = [message for message in mail.outbox if message.to == [reviewer.email]][-1]
    assert over.subject == "No work waits any more for the model hub" and "5 attempts" in over.body


# The database


def test_leases_that_ran_out_while_the_database_was_away_end_no_work() -> None:
    assert not records.leases_count(), "the first period: whether the last was missed is not known"
    assert records.leases_count()
    Heartbeat.objects.update(at=timezone.now() - timedelta(hours=1))
    assert not records.leases_count() and records.leases_count()


def test_what_is_done_is_written_when_the_database_is_back() -> None:
    answers: list[Exception | None] = [OperationalError("gone"), None]

    def write() -> str:
        if answer := answers.pop(0):
            raise answer
        return "written"

    assert leases.once_the_database_answers(write, stop=threading.Event()) == "written"


def test_a_worker_told_to_stop_waits_for_no_database() -> None:
    stop = threading.Event()
    stop.set()

    def away() -> None:
        raise OperationalError("gone")

    with pytest.raises(OperationalError):
        leases.once_the_database_answers(away, stop=stop)
