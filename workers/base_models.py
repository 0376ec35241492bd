"""Base models on this machine: fetched when they are needed, removed where they take too much disk."""

from __future__ import annotations

import logging
from contextlib import AbstractContextManager, nullcontext
from datetime import UTC, datetime
from pathlib import Path

from django.conf import settings

from evaluation.hub import cache, fetching
from portal.submissions.models import BaseModel
from workers.leases import Check, done_while
from workers.supervisor import shutting_down
from workers.turns import ShuttingDownError

logger = logging.getLogger(__name__)

_GB = 1024**3


def in_use(base_model: BaseModel) -> AbstractContextManager[None]:
    """Within this block the model stays on the disk."""
    is_kept_anyway = base_model.local_path or not cache.is_writable()
    return nullcontext() if is_kept_anyway else cache.in_use(base_model.hub_id)


def model_folder(base_model: BaseModel, check: Check) -> Path:
    """The base model's folder. It is fetched here, because the child must not see the hub's token.

    `check` is called while it comes, from several threads, and ends the fetch by what it raises. Raises
    ShuttingDownError where the worker is told to stop meanwhile.
    """
    if base_model.local_path:
        return Path(base_model.local_path)
    if settings.BASE_MODEL_CACHE_BYTES and not cache.holds(base_model.hub_id):
        _make_room(base_model)
    name = "@".join(filter(None, (base_model.hub_id, base_model.revision)))

    def go_on() -> None:
        check()
        if shutting_down.is_set():
            raise ShuttingDownError

    return done_while(go_on, lambda: fetching.fetch(name, lambda _done, _total: go_on())).folder


def _make_room(base_model: BaseModel) -> None:
    """For what the model will take: two bytes a weight, as nearly all are stored."""
    needed = 2 * (base_model.parameters or 0)
    for removed in cache.remove_unused(settings.BASE_MODEL_CACHE_BYTES - needed):
        logger.info(
            "removed %s (%.1f GB, last used %s) from the hub's cache to make room for %s",
            removed.repo,
            removed.size / _GB,
            datetime.fromtimestamp(removed.used, UTC).strftime("%Y-%m-%d %H:%M"),
            base_model.hub_id,
        )
