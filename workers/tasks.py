"""The Celery tasks, thin: what they do stands in portal.runs.services and workers.evaluate."""

from __future__ import annotations

from portal.queues import RUN_EVALUATIONS, app, wake_evaluators
from portal.runs import services
from workers.evaluate import run_queued


@app.task(name=RUN_EVALUATIONS)
def run_evaluations() -> None:
    """Run evaluations until none is queued."""
    run_queued()


@app.task(name="workers.tasks.recover")
def recover() -> None:
    """Return expired leases to the queue, and wake the workers again while work is waiting."""
    services.release_expired()
    if services.work_is_waiting():
        wake_evaluators()
