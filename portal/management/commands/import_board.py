"""`manage.py import_board`: publishes a public board's rows as declared entries."""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from portal.intake.board_import import PUBLIC_BOARD, BoardError, import_rows, read_board


class Command(BaseCommand):
    help = (
        "Add the rows of a public board as entries that are declared, not evaluated here, and stand apart "
        "from the ranking. Rows that are there already stay as they are, so a second import adds nothing."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "file",
            type=Path,
            help="CSV with the columns challenge, team, base_model, communication_gb, score_1 … score_4 in "
            "the order of the challenge's benchmarks, as printed in per cent, and date (day.month.year). "
            "Lines before it that begin with # are remarks",
        )
        parser.add_argument(
            "--source",
            default=PUBLIC_BOARD,
            help="address of the board, which readers are led to (%(default)s)",
        )
        parser.add_argument("--dry-run", action="store_true", help="say what would be added, add nothing")

    def handle(self, *args: Any, **options: Any) -> None:
        path: Path = options["file"]
        try:
            with path.open(encoding="utf-8-sig", newline="") as file:
                result = import_rows(read_board(file), source=options["source"], dry_run=options["dry_run"])
        except OSError as error:
            raise CommandError(f"{path} cannot be read: {error.strerror}") from error
        except UnicodeDecodeError as error:
            raise CommandError(f"{path} is not UTF-8") from error
        except BoardError as error:
            raise CommandError(f"{path}: nothing was imported.\n{error}") from error
        for row in result.added:
            for finding in row.findings:
                self.stdout.write(
                    f"line {row.line}: {row.challenge}, {row.team}, {row.base_model}: {finding.message}"
                )
        verb = "would be added" if options["dry_run"] else "added"
        self.stdout.write(f"{len(result.added)} entries {verb}, {result.known} were there already")
