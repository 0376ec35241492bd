"""`python -m tests.faults.launch celery WORDS…`: a process of the site whose children follow a script.

The children speak as the real ones do, and load no model. The lease of a delivery, of minutes on a site, is
short, so that a lost worker's is taken up while one looks on; nothing else is other than on a site.
"""

from __future__ import annotations

import sys
from datetime import timedelta

from celery.__main__ import main

import workers.app  # noqa: F401 -- sets Django up
from portal.notifications import queue as notifications
from workers import supervisor, train

SHORT = timedelta(seconds=4)

supervisor.MODULE = "tests.workers.scripted_evaluation"
train.MODULE = "tests.faults.trainer"
notifications.LEASE = SHORT

if __name__ == "__main__":
    sys.argv = sys.argv[1:]
    main()
