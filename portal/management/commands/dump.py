"""`manage.py dump`: all public data as files in a folder."""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from portal.dumps.writing import write


class Command(BaseCommand):
    help = "Write all public data as Parquet files with a manifest, as the site does every night for /data/."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("folder", type=Path, help="an empty folder, or one that does not exist yet")

    def handle(self, *args: Any, folder: Path, **options: Any) -> None:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            if any(folder.iterdir()):
                raise CommandError(f"{folder} is not empty")
        except OSError as error:
            raise CommandError(f"{folder} cannot be made: {error.strerror}") from error
        manifest = write(folder)
        for file in manifest.files:
            self.stdout.write(f"{file.rows:>10,} rows  {file.size:>12,} bytes  {file.name}")
