"""Draws a month's audits by the public seed, or shows what the seed would draw."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from portal.review import audits
from portal.review.models import AuditDraw


class Command(BaseCommand):
    help = "Draw the entries that are audited in a month; the scheduler does it by itself once a month began."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--month", help="as 2026-11; the present one without it")
        parser.add_argument("--settle", action="store_true", help="only write down what is finished")

    def handle(self, *args: Any, month: str | None, settle: bool, **options: Any) -> None:
        if settle:
            self.stdout.write(f"{audits.settle()} audits are finished.")
            return
        chosen = _month(month)
        made = audits.draw(chosen)
        if made is None:
            there = AuditDraw.objects.filter(month=chosen).first()
            if there is None:
                raise CommandError(f"no entry was published before {chosen:%Y-%m}, so there is none to draw")
            self.stdout.write(f"{chosen:%Y-%m} is drawn already.")
            made = there
        self.stdout.write(f"Head {made.head}\nSeed {made.seed}")
        for audit in made.audits.select_related("submission"):
            self.stdout.write(f"{audit.submission}: {audits.in_words(audit)}")


def _month(text: str | None) -> date:
    today = timezone.now().astimezone(UTC).date()
    if text is None:
        return today.replace(day=1)
    try:
        chosen = datetime.strptime(text, "%Y-%m").date()
    except ValueError as error:
        raise CommandError(f"{text} is no month like 2026-11") from error
    if chosen > today:
        raise CommandError("the seed of a month is known once it began")
    return chosen
