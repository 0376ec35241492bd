"""`manage.py register_data`: takes over what was adopted on the command line, for all workers at once."""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from evaluation.data.register import OtherRowsError, RegisterFile
from evaluation.errors import DataError
from portal.runs.data_register import SiteRegister


class Command(BaseCommand):
    help = (
        "Take over the registrations that `python -m evaluation data --adopt` made, from this machine's file "
        "or another's. Names that are registered already stay as they are; other rows under one are refused."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", type=Path, nargs="?", help="the register (default: this machine's)")

    def handle(self, *args: Any, file: Path | None, **options: Any) -> None:
        register = RegisterFile(file)
        try:
            found = register.all()
        except DataError as error:
            raise CommandError(str(error)) from error
        if not found:
            raise CommandError(f"nothing is registered in {register.path}")
        refused = []
        for registration in found.values():
            try:
                known = SiteRegister().record(registration)
            except OtherRowsError as error:
                refused.append(str(error))
            else:
                self.stdout.write(f"{known.name}: {known.rows:,} rows of {known.origin}, {known.digest}")
        if refused:
            raise CommandError("\n".join(refused))
