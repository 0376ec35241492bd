"""`manage.py check_log`: holds the log against itself and against the database."""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from evaluation.statements.envelope import Envelope
from evaluation.statements.errors import StatementError
from evaluation.statements.fields import document
from portal.transparency import checking, reading


class Command(BaseCommand):
    help = (
        "Recompute the log from its leaves: hashes, tree, heads, signatures; and compare every statement "
        "with the rows that it was made of. Exit status 1 where something was changed."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--against",
            type=Path,
            metavar="FILE",
            help="a head or bundle kept elsewhere, which the log has to continue",
        )

    def handle(self, *args: Any, against: Path | None, **options: Any) -> None:
        try:
            found = checking.problems(_head_in(against) if against else None)
        except (OSError, StatementError) as error:
            raise CommandError(f"{against}: {error}") from error
        if found:
            raise CommandError("\n".join(found))
        head = reading.current_head()
        words = f"{head.size} leaves, root {reading.head_in_words(head).split()[1]}" if head else "no leaves"
        self.stdout.write(f"The log is as it was written: {words}.")
        if waiting := checking.waiting():
            self.stdout.write(f"{waiting} results and acts are not in it yet; a worker writes them.")


def _head_in(path: Path) -> Envelope:
    """The signed head in a file, as the API, a bundle or a reader's program has it. Raises StatementError."""
    row = document(path.read_bytes(), "The file")
    return Envelope.read(row.get("envelope") or row.get("head") or row)
