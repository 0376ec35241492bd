"""The Celery tasks, thin: what they do stands in portal.runs.services and workers.evaluate."""

from __future__ import annotations

from portal.queues import RUN_EVALUATIONS, app, wake_evaluators
from portal.runs import services
from workers.evaluate import clear_leftovers, run_queued


@app.task(name=RUN_EVALUATIONS)
def run_evaluations() -> None:
    """Run evaluations until none is queued."""
    run_queued()


@app.task(name="workers.tasks.recover")
def recover() -> None:
    """Return expired leases to the queue, clear what the dead left, and wake workers while work waits."""
    services.release_expired()
    clear_leftovers()
    if services.work_is_waiting():
        wake_evaluators()
