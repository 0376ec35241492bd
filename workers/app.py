"""The Celery application: `celery -A workers.app worker` and `celery -A workers.app beat`."""

from __future__ import annotations

import os
from typing import Any

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "portal.settings")
django.setup()

from celery.schedules import crontab  # noqa: E402 -- Django has to be set up first
from celery.signals import worker_ready, worker_shutting_down  # noqa: E402
from django.conf import settings  # noqa: E402

from portal import addresses  # noqa: E402
from portal.environment import read_environment  # noqa: E402
from portal.outages import waiting  # noqa: E402
from portal.queues import (  # noqa: E402
    DELIVER_NOTIFICATIONS,
    FIND_RESEMBLANCES,
    MAINTENANCE,
    WRITE_LOG,
    app,
)

addresses.require_embedded(read_environment())
settings.VAR_DIR.mkdir(parents=True, exist_ok=True)  # the scheduler keeps its times there

# How late a retry of a notification may be; new ones wake a worker at once.
DELIVERY_SECONDS = 15
# How late the log may be where a message was lost.
LOG_SECONDS = 60
# How late a submission that came into review may be compared with the others.
RESEMBLANCE_SECONDS = 30

# Only now, as it asks the database: web processes send messages and run no task.
app.task_cls = "workers.task:FittingTask"
app.conf.update(
    imports=["workers.tasks", "leaderboard.tasks"],
    worker_cancel_long_running_tasks_on_connection_loss=False,
    worker_hijack_root_logger=False,
    beat_schedule_filename=str(settings.VAR_DIR / "celerybeat-schedule"),
    beat_schedule={
        "recover": {
            "task": "workers.tasks.recover",
            "schedule": max(1.0, settings.EVALUATION_LEASE_SECONDS / 2),
            # A message that nobody took before the next one is due has nothing to add.
            "options": {"expires": settings.EVALUATION_LEASE_SECONDS, "queue": MAINTENANCE},
        },
        "retry after outages": {
            "task": "workers.tasks.retry_after_outages",
            "schedule": waiting.LOOKS,
            "options": {"expires": waiting.LOOKS.total_seconds(), "queue": MAINTENANCE},
        },
        "expire drafts": {
            "task": "workers.tasks.expire_drafts",
            "schedule": 86_400.0,
            "options": {"expires": 86_400, "queue": MAINTENANCE},
        },
        "withdraw undecided": {
            "task": "workers.tasks.withdraw_undecided",
            "schedule": 3_600.0,
            "options": {"expires": 3_600, "queue": MAINTENANCE},
        },
        "keep review deadlines": {
            "task": "workers.tasks.keep_review_deadlines",
            "schedule": 3_600.0,
            "options": {"expires": 3_600, "queue": MAINTENANCE},
        },
        "audit": {
            "task": "workers.tasks.audit",
            "schedule": 3_600.0,
            "options": {"expires": 3_600, "queue": MAINTENANCE},
        },
        "expire uploads": {
            "task": "workers.tasks.expire_uploads",
            "schedule": 3_600.0,
            "options": {"expires": 3_600, "queue": MAINTENANCE},
        },
        "deliver notifications": {
            "task": DELIVER_NOTIFICATIONS,
            "schedule": DELIVERY_SECONDS,
            "options": {"expires": DELIVERY_SECONDS, "queue": MAINTENANCE},
        },
        "find resemblances": {
            "task": FIND_RESEMBLANCES,
            "schedule": RESEMBLANCE_SECONDS,
            "options": {"expires": RESEMBLANCE_SECONDS, "queue": MAINTENANCE},
        },
        "forget idempotency keys": {
            "task": "workers.tasks.forget_idempotency_keys",
            "schedule": 3_600.0,
            "options": {"expires": 3_600, "queue": MAINTENANCE},
        },
        "forget workers": {
            "task": "workers.tasks.forget_workers",
            "schedule": 86_400.0,
            "options": {"expires": 86_400, "queue": MAINTENANCE},
        },
        "renew boards": {
            "task": "leaderboard.tasks.renew_boards",
            "schedule": 3_600.0,
            "options": {"expires": 3_600, "queue": MAINTENANCE},
        },
        "write log": {
            "task": WRITE_LOG,
            "schedule": LOG_SECONDS,
            "options": {"expires": LOG_SECONDS, "queue": MAINTENANCE},
        },
        "tell reviewers": {
            "task": "workers.tasks.tell_reviewers",
            "schedule": 86_400.0,
            "options": {"expires": 86_400, "queue": MAINTENANCE},
        },
        "dump public data": {
            "task": "workers.tasks.dump_public_data",
            "schedule": crontab(hour=3, minute=10),
            "options": {"expires": 43_200, "queue": MAINTENANCE},
        },
        "expire notifications": {
            "task": "workers.tasks.expire_notifications",
            "schedule": 86_400.0,
            "options": {"expires": 86_400, "queue": MAINTENANCE},
        },
    },
)


@worker_ready.connect
def _tell_of_this_worker(sender: Any, **_: object) -> None:
    from workers import heartbeat

    heartbeat.start(sender, app.amqp.queues.consume_from)


@worker_shutting_down.connect
def _stop_evaluating(**_: object) -> None:
    from workers import heartbeat
    from workers.supervisor import shutting_down

    shutting_down.set()
    heartbeat.stop()


__all__ = ["app"]
