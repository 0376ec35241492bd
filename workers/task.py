"""What a task is here: left undone by a worker whose code and the database are not made for each other."""

from __future__ import annotations

import logging
from typing import Any

from celery import Task

from portal.control import versions

logger = logging.getLogger(__name__)


class FittingTask(Task):
    """All messages are wake-ups, or come again: one that is dropped is a later one."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if misfit := versions.misfit():
            logger.info("%s is left undone: %s", self.name, misfit)
            return None
        return super().__call__(*args, **kwargs)
