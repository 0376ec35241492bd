"""Operators are told of an outage twice, when it begins and when it is over, not for each work it stops."""

from __future__ import annotations

from django.conf import settings
from django.db import transaction
from django.urls import reverse

from portal.notifications import services
from portal.notifications.models import Event
from portal.outages import records
from portal.outages.models import Outage


@transaction.atomic
def tell() -> None:
    """Send the mails that are due."""
    for outage in records.untold_beginnings():
        _send(Event.OUTAGE_BEGAN, outage)
    for outage in records.untold_ends():
        _send(Event.OUTAGE_OVER, outage)


def _send(event: Event, outage: Outage) -> None:
    payload = services.payload_of(event, {"outage": _facts(outage)})
    services.tell(event, None, payload, [], services.operators())


def _facts(outage: Outage) -> dict[str, object]:
    ended = outage.ended_at
    return {
        "what": str(outage),
        "detail": outage.detail,
        "began": f"{outage.began_at:%Y-%m-%d %H:%M} UTC",
        "ended": f"{ended:%Y-%m-%d %H:%M} UTC" if ended else "",
        "count": outage.count,
        "page": settings.SITE_URL + reverse("admin:outages_outage_changelist"),
    }
