"""Base models that operators have removed from the hub's cache on a machine."""

from __future__ import annotations

from datetime import timedelta

from django.db import transaction
from django.utils import timezone

from portal.control.gate import machine_of
from portal.control.models import Act, Eviction
from portal.control.orders import Operator, OrderRefused, needed, write_down
from portal.runs import presence

# A machine that comes back later is not surprised by what somebody wanted then.
LAPSES = timedelta(days=1)


@transaction.atomic
def evict(machine: str, repo: str, *, reason: str, by: Operator) -> Eviction:
    """Have a machine's worker remove a base model from the hub's cache, unless it is in use by then.

    Raises OrderRefused where no worker is there that could, or the machine has no such model.
    """
    reason = needed(reason)
    told = [one.cached for one in presence.there() if machine_of(one.name) == machine]
    if not told:
        raise OrderRefused(f"No worker of {machine} is there, which could remove it.")
    if not any(model["repo"] == repo for cached in told for model in cached):
        raise OrderRefused(f"{machine} has no {repo} in the hub's cache, as its workers last said.")
    asked, _ = Eviction.objects.get_or_create(machine=machine, repo=repo, done_at=None)
    write_down(Act.What.EVICT, f"{repo} on {machine}", reason, by)
    return asked


def lapse() -> None:
    """Close what no worker of the machine was there for."""
    waiting = Eviction.objects.filter(done_at=None, asked_at__lt=timezone.now() - LAPSES)
    waiting.update(done_at=timezone.now(), outcome="no worker of the machine was there")
