"""Puts the site under maintenance, and ends that."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from portal.control import orders
from portal.control.models import Maintenance
from portal.management.operators import add_reason_and_name, operator, refusals_told


class Command(BaseCommand):
    help = (
        "Under maintenance nothing is started: what people send is kept, what runs comes to its end, and "
        "every page says why."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("what", choices=["on", "off", "status"])
        add_reason_and_name(parser, required=False)

    def handle(self, *args: Any, what: str, reason: str, by: str, **options: Any) -> None:
        with refusals_told():
            if what == "on":
                orders.begin_maintenance(reason=reason, by=operator(by))
            elif what == "off":
                orders.end_maintenance(reason=reason, by=operator(by))
        current = Maintenance.objects.first()
        if current is None:
            self.stdout.write("The site is not under maintenance.")
        else:
            self.stdout.write(f"Under maintenance since {current.since:%Y-%m-%d %H:%M} UTC: {current.reason}")
