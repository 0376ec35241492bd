"""Puts an evaluation or a baseline run back into the queue."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from portal.management.operators import add_reason_and_name, operator, refusals_told
from portal.operate import work
from portal.operate.work import Kind


class Command(BaseCommand):
    help = (
        "Put work back into the queue: what runs is taken from its worker, what waits for the end of an "
        "outage is tried at once, of what failed a new one is queued. Scores and rounds are kept."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("kind", choices=Kind.values)
        parser.add_argument("number", type=int)
        add_reason_and_name(parser)

    def handle(self, *args: Any, kind: str, number: int, reason: str, by: str, **options: Any) -> None:
        with refusals_told():
            queued = work.requeue(Kind(kind), number, reason=reason, by=operator(by))
        self.stdout.write(f"{Kind(kind).label.capitalize()} {queued.pk} is in the queue.")
