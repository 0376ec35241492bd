"""Lets an evaluation or a baseline run go first."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from portal.management.operators import add_reason_and_name, operator, refusals_told
from portal.operate import work
from portal.operate.work import MOST_PRIORITY, Kind


class Command(BaseCommand):
    help = (
        "Let queued work go first, the higher its priority the sooner; 0 gives it its usual place. "
        "Evaluations with a priority take nobody's turn, and every other one at most."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("kind", choices=Kind.values)
        parser.add_argument("number", type=int)
        parser.add_argument("priority", type=int, choices=range(MOST_PRIORITY + 1))
        add_reason_and_name(parser)

    def handle(self, *args: Any, kind: str, number: int, priority: int, **options: Any) -> None:
        with refusals_told():
            by = operator(options["by"])
            work.prioritise(Kind(kind), number, priority, reason=options["reason"], by=by)
        self.stdout.write(f"{Kind(kind).label.capitalize()} {number} has priority {priority}.")
