"""The Celery tasks, thin: what they do stands in the services and in this package's other modules."""

from __future__ import annotations

import logging
import time

from portal.api.idempotency import forget_old_answers
from portal.baselines import queue as baselines
from portal.dumps.mirroring import mirrored
from portal.dumps.writing import keep_dump
from portal.intake import hub_fetches
from portal.intake.services import expire_drafts as delete_old_drafts
from portal.intake.smoke_runs import withdraw_undecided as withdraw_after_smoke_runs
from portal.notifications import queue as notifications
from portal.notifications.outages import tell as tell_of_outages
from portal.operate import evictions
from portal.outages import records as outages
from portal.outages import waiting
from portal.outages.causes import StorageError
from portal.queues import (
    DELIVER_NOTIFICATIONS,
    FETCH_FROM_HUB,
    FIND_RESEMBLANCES,
    RUN_BASELINES,
    RUN_EVALUATIONS,
    WRITE_LOG,
    app,
    wake_evaluators,
    wake_fetchers,
    wake_trainers,
)
from portal.review import audits, deadlines
from portal.review import digest as review_digest
from portal.review.resemblance import search as resemblances
from portal.runs import presence, services
from portal.runs.models import BaselineRun, Evaluation
from portal.submissions.models import HubFetch
from portal.transparency.writing import write_due
from portal.uploads.services import expire as delete_old_uploads
from workers import claiming, deliver, evaluate, fetch, train

# Other tasks of the queue are not to wait for longer; what is left then is for the next run.
_RESEMBLANCE_SECONDS = 20.0

logger = logging.getLogger(__name__)


@app.task(name=RUN_EVALUATIONS)
def run_evaluations() -> None:
    """Run evaluations until none is queued."""
    claiming.run_queued()


@app.task(name=RUN_BASELINES)
def run_baselines() -> None:
    """Train baselines until none is queued."""
    train.run_queued()


@app.task(name="workers.tasks.retry_after_outages")
def retry_after_outages() -> None:
    """Wake workers for what may be tried again now; `recover` alone would come to it half a lease late."""
    if waiting.has_just_come_due(Evaluation):
        wake_evaluators()
    if waiting.has_just_come_due(BaselineRun):
        wake_trainers()
    if waiting.has_just_come_due(HubFetch):
        wake_fetchers()


@app.task(name="workers.tasks.recover")
def recover() -> None:
    """Return expired leases to the queue, clear what the dead left, and wake workers while work waits."""
    if outages.leases_count():
        services.release_expired()
        baselines.release_expired()
        fetch.recover()
    outages.end_those_nobody_waits_for((Evaluation, BaselineRun, HubFetch))
    tell_of_outages()
    evaluate.clear_leftovers()
    train.clear_leftovers()
    if services.work_is_waiting():
        wake_evaluators()
    if baselines.work_is_waiting():
        wake_trainers()
    if hub_fetches.work_is_waiting():
        wake_fetchers()


@app.task(name=FETCH_FROM_HUB)
def fetch_from_hub() -> None:
    """Fetch the files of drafts from the hub until none waits."""
    fetch.run_waiting()


@app.task(name=FIND_RESEMBLANCES)
def find_resemblances() -> None:
    """Sketch new adapters and find what the submissions in review, and those asked for, resemble."""
    try:
        resemblances.run(until=time.monotonic() + _RESEMBLANCE_SECONDS)
    except StorageError as error:
        logger.warning("resemblances wait for the storage: %s", error)


@app.task(name="workers.tasks.expire_drafts")
def expire_drafts() -> None:
    """Delete drafts that nobody touched for a month."""
    delete_old_drafts()


@app.task(name="workers.tasks.withdraw_undecided")
def withdraw_undecided() -> None:
    """Withdraw what nobody decided on for a week after its smoke run."""
    withdraw_after_smoke_runs()


@app.task(name="workers.tasks.keep_review_deadlines")
def keep_review_deadlines() -> None:
    """Close what was not changed in time."""
    deadlines.close_overdue()


@app.task(name="workers.tasks.audit")
def audit() -> None:
    """Draw the month's audits where that is due, and write down what came of those under way."""
    if mirrored() is None:
        audits.draw_this_month()
        audits.settle()


@app.task(name=DELIVER_NOTIFICATIONS)
def deliver_notifications() -> None:
    """Send the webhooks and e-mails that are due."""
    notifications.release_expired()
    deliver.run_due()


@app.task(name=WRITE_LOG)
def write_log() -> None:
    """Put into the log what became public since, each thing once."""
    if mirrored() is None:  # a mirror has nothing of its own to state
        write_due()


@app.task(name="workers.tasks.dump_public_data")
def dump_public_data() -> None:
    """Write all public data into files, which the site offers."""
    if mirrored() is None:
        keep_dump()


@app.task(name="workers.tasks.expire_notifications")
def expire_notifications() -> None:
    """Delete what was delivered a month ago."""
    notifications.expire()


@app.task(name="workers.tasks.tell_reviewers")
def tell_reviewers() -> None:
    """Send reviewers the daily mail of what waits."""
    review_digest.send()


@app.task(name="workers.tasks.expire_uploads")
def expire_uploads() -> None:
    """Delete uploads that nobody finished or used, with their bytes."""
    delete_old_uploads()


@app.task(name="workers.tasks.forget_idempotency_keys")
def forget_idempotency_keys() -> None:
    """Delete the answers kept for repeated API requests once their day is over."""
    forget_old_answers()


@app.task(name="workers.tasks.forget_workers")
def forget_workers() -> None:
    """Forget workers that were not seen for a month, and orders that nobody was there for."""
    presence.forget_old()
    evictions.lapse()
