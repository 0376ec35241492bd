"""A Celery worker whose evaluations the scripted process does."""

from __future__ import annotations

import sys

from workers.app import app  # sets up Django

if __name__ == "__main__":
    from workers import supervisor

    supervisor.MODULE = "tests.workers.scripted_evaluation"
    app.worker_main(sys.argv[1:])
