"""What operators order: every order is written down with who gave it, how, and why."""

from __future__ import annotations

from dataclasses import dataclass

from django.db import transaction
from django.utils import timezone

from portal.accounts.models import User
from portal.control import maintenance
from portal.control.models import Act, Hold, Maintenance, Queue
from portal.queues import wake_evaluators, wake_fetchers, wake_trainers

LONGEST_REASON = 500
LONGEST_NAME = 120
"""Of a worker, a machine or a queue."""


class OrderRefused(Exception):
    """What was ordered makes no sense now; the text says so to the operator."""


@dataclass(frozen=True)
class Operator:
    """Who orders, and by which way; nobody's name where it came from a terminal without one."""

    user: User | None
    via: Act.Via


@transaction.atomic
def hold(kind: Hold.Kind, name: str, *, how: Hold.How, reason: str, by: Operator) -> Hold:
    """Drain or pause a worker, a machine or a queue, in place of an earlier order. Raises OrderRefused."""
    reason = needed(reason)
    if kind == Hold.Kind.QUEUE and name not in Queue.values:
        raise OrderRefused(f"There is no queue {name}; there are: {', '.join(Queue.values)}.")
    if not name:
        raise OrderRefused("Say which worker or machine.")
    if len(name) > LONGEST_NAME:
        raise OrderRefused(f"No worker or machine has a name of more than {LONGEST_NAME} characters.")
    told = {"how": how, "reason": reason, "since": timezone.now()}
    made, _ = Hold.objects.update_or_create(kind=kind, name=name, defaults=told)
    write_down(Act.What(how), f"{kind} {name}", reason, by)
    return made


@transaction.atomic
def resume(kind: Hold.Kind, name: str, *, reason: str = "", by: Operator) -> None:
    """Lift the order that a worker, machine or queue was given. Raises OrderRefused where there is none."""
    lifted, _ = Hold.objects.filter(kind=kind, name=name).delete()
    if not lifted:
        raise OrderRefused(f"{name} is neither drained nor paused.")
    write_down(Act.What.RESUME, f"{kind} {name}", reason, by)
    wake_all()


@transaction.atomic
def begin_maintenance(*, reason: str, by: Operator) -> Maintenance:
    """Start nothing any more, and say why on every page; what runs comes to its end. Raises OrderRefused."""
    reason = needed(reason)
    made, _ = Maintenance.objects.update_or_create(only=True, defaults={"reason": reason})
    write_down(Act.What.MAINTENANCE_ON, "of the site", reason, by)
    transaction.on_commit(maintenance.look_again)
    return made


@transaction.atomic
def end_maintenance(*, reason: str = "", by: Operator) -> None:
    """Raises OrderRefused where there is none."""
    ended, _ = Maintenance.objects.all().delete()
    if not ended:
        raise OrderRefused("The site is not under maintenance.")
    write_down(Act.What.MAINTENANCE_OFF, "of the site", reason, by)
    transaction.on_commit(maintenance.look_again)
    wake_all()


def ended(worker: str) -> None:
    """Lift what a worker was told: its process is over. The next may get its number, as in a container."""
    Hold.objects.filter(kind=Hold.Kind.WORKER, name=worker).delete()


def write_down(what: Act.What, target: str, reason: str, by: Operator) -> None:
    """Put an act on record, in the transaction that does it. Raises OrderRefused for a reason too long."""
    if len(reason.strip()) > LONGEST_REASON:
        raise OrderRefused(f"Say it in {LONGEST_REASON} characters; these are {len(reason.strip())}.")
    Act.objects.create(what=what, target=target, reason=reason.strip(), by=by.user, via=by.via)


def needed(reason: str) -> str:
    """Raises OrderRefused where there is none."""
    if not reason.strip():
        raise OrderRefused("Give a reason: it goes on record, and whoever waits reads it.")
    return reason.strip()


def wake_all() -> None:
    wake_evaluators()
    wake_trainers()
    wake_fetchers()
