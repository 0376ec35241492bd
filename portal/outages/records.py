"""The record of outages: begun with the first work that one stops, over when no work waits for it."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from datetime import timedelta

from django.conf import settings
from django.db import transaction
from django.db.models import Exists, F, OuterRef
from django.utils import timezone

from portal.outages.causes import Cause
from portal.outages.models import Heartbeat, Outage, Waiting

logger = logging.getLogger(__name__)

# One that comes back sooner is the same one: operators are told once that it began and once that it is over.
SETTLED = timedelta(minutes=5)


@transaction.atomic
def seen(cause: Cause, place: str, detail: str) -> Outage:
    """Record that work ran into an outage; logged and told to operators once, however often that is."""
    now = timezone.now()
    outage, is_new = Outage.objects.get_or_create(
        cause=cause.code, place=place, end_told_at=None, defaults={"words": cause.words, "began_at": now}
    )
    Outage.objects.filter(pk=outage.pk).update(
        count=F("count") + 1, last_seen_at=now, ended_at=None, detail=detail[:2000]
    )
    if is_new:
        where = f" on {place}" if place else ""
        logger.error("work waits for %s%s: %s", cause.words, where, detail)
    return outage


def end_those_nobody_waits_for(kinds: Iterable[type[Waiting]]) -> None:
    """Close the outages that no row of these models waits for."""
    ended = Outage.objects.filter(ended_at=None)
    for kind in kinds:
        ended = ended.exclude(Exists(kind._default_manager.filter(outage=OuterRef("pk"))))
    ended.update(ended_at=timezone.now())


@transaction.atomic
def untold_beginnings() -> list[Outage]:
    """Those that operators have to be told of, and count as told from now on."""
    untold = list(Outage.objects.select_for_update(skip_locked=True).filter(told_at=None))
    Outage.objects.filter(pk__in=[outage.pk for outage in untold]).update(told_at=timezone.now())
    return untold


@transaction.atomic
def untold_ends() -> list[Outage]:
    """Those that have been over for a while, likewise."""
    over = Outage.objects.select_for_update(skip_locked=True).filter(
        end_told_at=None, told_at__isnull=False, ended_at__lte=timezone.now() - SETTLED
    )
    untold = list(over)
    Outage.objects.filter(pk__in=[outage.pk for outage in untold]).update(end_told_at=timezone.now())
    for outage in untold:
        logger.warning("no work waits any more for %s", outage)
    return untold


def leases_count() -> bool:
    """Whether a lease that ran out says that its worker is gone; called once a period.

    Not where the last period was missed: while the database is away, no worker can renew. They get this one.
    """
    now = timezone.now()
    missed = now - timedelta(seconds=settings.EVALUATION_LEASE_SECONDS)
    with transaction.atomic():
        beat, _ = Heartbeat.objects.select_for_update().get_or_create(pk=1, defaults={"at": missed})
        Heartbeat.objects.filter(pk=beat.pk).update(at=now)
    return beat.at > missed
