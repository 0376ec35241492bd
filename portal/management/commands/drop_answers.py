"""`manage.py drop_answers`: frees the room of single answers that nobody will look at."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from portal.runs import retention


class Command(BaseCommand):
    help = (
        "Remove the single answers of entries that were never published and ended (rejected, withdrawn, "
        "failed) so many days ago. Scores, bits and each file's SHA-256 stay."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--days", type=int, required=True, metavar="N")
        parser.add_argument("--dry-run", action="store_true", help="only say how many there are")

    def handle(self, *args: Any, days: int, dry_run: bool, **options: Any) -> None:
        if days < 1:
            raise CommandError("a day at least")
        scores = retention.unpublished_since(timezone.now() - timedelta(days=days))
        if dry_run:
            self.stdout.write(f"The answers of {scores.count()} scores would be removed.")
            return
        count = size = 0
        for dropped in retention.drop(scores):
            count, size = count + 1, size + dropped.size
        self.stdout.write(f"The answers of {count} scores were removed, {size / 1e6:.1f} MB.")
