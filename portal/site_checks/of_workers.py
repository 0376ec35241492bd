"""Of those who work here: workers are there and of this release, and the scheduler wakes them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from django.conf import settings
from django.core.checks import CheckMessage, Warning
from django.db.models import Max
from django.utils import timezone

from portal.control import versions
from portal.outages.models import Heartbeat
from portal.queues import EVALUATE
from portal.runs import presence
from portal.site_checks.of_services import is_database_there


def workers() -> Iterator[CheckMessage]:
    if not is_database_there() or versions.unapplied():
        return  # which is said already
    there = list(presence.there())
    if not any(EVALUATE in worker.queues for worker in there):
        yield Warning(
            "No worker that evaluates was seen within a minute: submissions wait.",
            hint="Start one (docs/operating.md, Several processes), with the DATABASE_URL of the site.",
            id="site.W040",
        )
    for worker in there:
        if worker.release != versions.release():
            yield Warning(
                f"The worker {worker.name} is of release {worker.release or 'unknown'}, and this is "
                f"{versions.release()}.",
                hint="Install the same release on its machine and start it again; manage.py workers drain "
                "first lets it finish.",
                id="site.W041",
            )
        elif worker.waits:
            yield Warning(
                f"The worker {worker.name} begins nothing: {worker.waits}.",
                hint="manage.py workers list shows what workers were told; workers resume and maintenance "
                "off end that.",
                id="site.W042",
            )


def scheduler() -> Iterator[CheckMessage]:
    if not is_database_there() or versions.unapplied():
        return
    last = Heartbeat.objects.aggregate(last=Max("at"))["last"]
    if last is None or timezone.now() - last > timedelta(seconds=2 * settings.EVALUATION_LEASE_SECONDS):
        yield Warning(
            "The periodic recovery was not there of late: work of lost workers stays where it is.",
            hint="Start the scheduler, one of it: celery --app workers.app beat. It needs a worker on the "
            "queue maintenance.",
            id="site.W043",
        )
