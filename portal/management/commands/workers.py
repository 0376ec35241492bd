"""Lists workers and queues, and drains, pauses and resumes them."""

from __future__ import annotations

import time
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from portal.control import orders
from portal.control.models import Hold, Queue
from portal.management.operators import add_reason_and_name, operator, refusals_told
from portal.operate import overview
from portal.operate.overview import QueueState, Worker

_LOOK_SECONDS = 0.5


class Command(BaseCommand):
    help = (
        "List workers and queues. Drain (what is in hand is finished) or pause (it goes back to the queue) a "
        "worker, all workers of a machine, or a queue, so that nothing new begins there; resume it."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("what", choices=["list", "drain", "pause", "resume"])
        parser.add_argument("name", nargs="?", default="", help="A worker as listed, or its machine")
        parser.add_argument("--queue", choices=Queue.values, help="The queue, instead of a worker")
        parser.add_argument(
            "--wait",
            type=float,
            metavar="SECONDS",
            help="Return once it has nothing in hand; else end with 1",
        )
        add_reason_and_name(parser, required=False)

    def handle(self, *args: Any, what: str, name: str, queue: str | None, **options: Any) -> None:
        if what == "list":
            self._list()
            return
        if bool(name) == bool(queue):
            raise CommandError("name a worker, a machine or, by --queue, a queue")
        kind, target = (Hold.Kind.QUEUE, queue) if queue else (Hold.Kind.WORKER, name)
        assert target
        by = operator(options["by"])
        with refusals_told():
            if what == "resume":
                orders.resume(kind, target, reason=options["reason"], by=by)
                self.stdout.write(f"{target} is resumed.")
                return
            self._warn(kind, target)
            hold = orders.hold(kind, target, how=Hold.How(what), reason=options["reason"], by=by)
        self.stdout.write(f"{hold}; manage.py workers resume ends it.")
        if options["wait"] is not None:
            self._wait(kind, target, options["wait"])

    def _list(self) -> None:
        seen = overview.overview()
        if seen.maintenance:
            self.stdout.write(
                f"Maintenance since {seen.maintenance.since:%Y-%m-%d %H:%M}: {seen.maintenance}"
            )
        self.stdout.write(f"This release: {seen.release}. The database's: {seen.migrated_by or 'not known'}.")
        for worker in seen.workers:
            self.stdout.write(_of_worker(worker))
        if not seen.workers:
            self.stdout.write("No worker was seen within an hour.")
        for hold in seen.standing:
            self.stdout.write(f"{hold}: {hold.reason} (no worker of it is there)")
        for queue in seen.queues:
            self.stdout.write(_of_queue(queue))

    def _warn(self, kind: Hold.Kind, name: str) -> None:
        known = {one for worker in overview.workers() for one in (worker.name, worker.machine)}
        if kind == Hold.Kind.WORKER and name not in known:
            self.stderr.write(
                f"No worker or machine {name} was seen within an hour; the order stands anyhow."
            )

    def _wait(self, kind: Hold.Kind, name: str, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while _in_hand(kind, name):
            if time.monotonic() > deadline:
                raise CommandError(f"{name} still has work in hand after {seconds:g} s")
            time.sleep(_LOOK_SECONDS)
        self.stdout.write(f"{name} has nothing in hand.")


def _in_hand(kind: Hold.Kind, name: str) -> bool:
    if kind == Hold.Kind.QUEUE:
        return any(queue.running for queue in overview.queues() if queue.queue == name)
    return any(worker.doing for worker in overview.workers() if name in (worker.name, worker.machine))


def _of_worker(worker: Worker) -> str:
    doing = ", ".join(
        f"{one.kind} {one.pk}{f' since {one.since:%H:%M}' if one.since else ''}" for one in worker.doing
    )
    why = f": {worker.hold.reason}" if worker.hold else f": {worker.waits}" if worker.waits else ""
    about = f"seen {worker.seen_at:%Y-%m-%d %H:%M:%S}, release {worker.release or 'not known'}"
    lines = [f"{worker.name}  {worker.state}{why}", f"    {about}, {worker.hardware or 'hardware not known'}"]
    lines.append(f"    listens to {', '.join(worker.queues)}")
    return "\n".join([*lines, *([f"    {doing}"] if doing else [])])


def _of_queue(state: QueueState) -> str:
    told = f", {state.hold.get_how_display()}: {state.hold.reason}" if state.hold else ""
    return f"{state.queue}: {state.waiting} waiting, {state.running} in hand{told}"
