"""How work waits for the end of an outage: growing pauses, no attempt used up, an end after long enough."""

from __future__ import annotations

import secrets
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db.models import Q
from django.utils import timezone
from django.utils.timesince import timesince

from portal.outages import records
from portal.outages.causes import Failure
from portal.outages.models import Waiting


class LostError(Exception):
    """Claimed work is no longer this worker's."""


SHORTEST = timedelta(seconds=15)
LONGEST = timedelta(minutes=15)
LOOKS = timedelta(seconds=5)
"""How often it is looked for pauses that ended: a try may be that much late."""
# So that what one outage stopped does not come back in the same second.
_JITTER = 0.2

OVER: dict[str, Any] = {"outage": None, "waiting_since": None, "waits_until": None, "waits_at": []}
"""The fields of a row that waits for nothing, and did not."""
TRYING: dict[str, Any] = {"waits_until": None}
"""What changes when a row that waited is tried again: whether that is the end of it will be seen."""


def is_due(machine: str) -> Q:
    """The rows that `machine` may take now."""
    everywhere_or_here = Q(waits_at=[]) | Q(waits_at__contains=[machine])
    return Q(waits_until=None) | Q(waits_until__lte=timezone.now()) | ~everywhere_or_here


def has_just_come_due(kind: type[Waiting]) -> bool:
    """Whether a pause ended since the last look or the one before, so that workers are to be woken."""
    now = timezone.now()
    return kind._default_manager.filter(waits_until__gt=now - 2 * LOOKS, waits_until__lte=now).exists()


def wait(row: Waiting, failure: Failure, *, machine: str) -> dict[str, Any] | None:
    """The changes by which a row waits on after a try that an outage ended; None where it has waited enough.

    The pause is as long as the row has waited already, within bounds: it doubles. The caller locked the row
    and writes them in its transaction.
    """
    now = timezone.now()
    since = row.waiting_since or now
    if now - since >= timedelta(seconds=settings.OUTAGE_PATIENCE_SECONDS):
        return None
    cause = failure.cause
    pause = min(LONGEST, max(SHORTEST, now - since))
    pause *= 1 + secrets.SystemRandom().uniform(-_JITTER, _JITTER)
    elsewhere = set(row.waits_at) if row.outage_id and row.waits_at else set()
    return {
        "outage": records.seen(cause, machine if cause.is_local else "", failure.message),
        "waiting_since": since,
        "waits_until": now + pause,
        "waits_at": sorted({*elsewhere, machine}) if cause.is_local else [],
    }


def given_up(row: Waiting, failure: Failure) -> str:
    """Why a row is tried no more, in words."""
    assert row.waiting_since
    waited = timesince(row.waiting_since).replace("\xa0", " ")
    return f"It waited {waited} for {failure.cause.words}, in vain. The last attempt: {failure.message}"
