"""Wakes the workers. The database is the queue: a message only says that there is work.

Messages may be lost, doubled or late without harm: a woken worker claims rows until none is left, and
a periodic task wakes the workers again while work is waiting.
"""

from __future__ import annotations

import logging

from celery import Celery
from django.conf import settings
from django.db import transaction
from kombu.exceptions import OperationalError

from portal import valkey

logger = logging.getLogger(__name__)

EVALUATE = "evaluate"
TRAIN = "train"
MAINTENANCE = "maintenance"
QUEUES = (EVALUATE, TRAIN, MAINTENANCE)
RUN_EVALUATIONS = "workers.tasks.run_evaluations"
RUN_BASELINES = "workers.tasks.run_baselines"
FETCH_FROM_HUB = "workers.tasks.fetch_from_hub"
DELIVER_NOTIFICATIONS = "workers.tasks.deliver_notifications"
BUILD_BOARDS = "leaderboard.tasks.build_boards"
WRITE_LOG = "workers.tasks.write_log"
FIND_RESEMBLANCES = "workers.tasks.find_resemblances"

app = Celery("flowertune", broker=settings.CELERY_BROKER_URL)
app.conf.update(
    task_default_queue=MAINTENANCE,
    task_routes={RUN_EVALUATIONS: {"queue": EVALUATE}, RUN_BASELINES: {"queue": TRAIN}},
    task_ignore_result=True,
    task_acks_late=True,
    task_reject_on_worker_lost=True,
    worker_prefetch_multiplier=1,
    broker_connection_retry_on_startup=True,
    broker_transport_options={"socket_timeout": 10, "socket_connect_timeout": 5},
    task_publish_retry_policy={"max_retries": 1},
)


def wake_evaluators() -> None:
    """Send the wake-up once the current transaction is committed."""
    transaction.on_commit(lambda: _send(RUN_EVALUATIONS, EVALUATE))


def wake_trainers() -> None:
    """Send the wake-up for baseline runs once the current transaction is committed."""
    transaction.on_commit(lambda: _send(RUN_BASELINES, TRAIN))


def wake_fetchers() -> None:
    """Tell once the current transaction is committed that a draft waits for its files from the hub."""
    transaction.on_commit(lambda: _send(FETCH_FROM_HUB, MAINTENANCE))


def wake_notifiers() -> None:
    """Tell once the current transaction is committed that notifications wait to be delivered."""
    transaction.on_commit(lambda: _send(DELIVER_NOTIFICATIONS, MAINTENANCE))


def wake_board_builders() -> None:
    """Tell once the current transaction is committed that what stands on a board changed: the board is built,
    and the log of public acts gets what is new."""
    transaction.on_commit(lambda: _send(BUILD_BOARDS, MAINTENANCE))
    transaction.on_commit(lambda: _send(WRITE_LOG, MAINTENANCE))


def wake_resemblance_search() -> None:
    """Tell once the current transaction is committed that a submission is to be compared with all others."""
    transaction.on_commit(lambda: _send(FIND_RESEMBLANCES, MAINTENANCE))


def _send(task: str, queue: str) -> None:
    # The row is safe in the database; the periodic task wakes the workers when the broker is back.
    if not valkey.answers(settings.REDIS_URL):  # Celery would wait much longer for one that hangs
        logger.warning("the broker does not answer; work waits for the next periodic wake-up")
        return
    try:
        app.send_task(task, queue=queue)
    except OperationalError:
        logger.warning("the broker is unreachable; work waits for the next periodic wake-up", exc_info=True)
