"""`manage.py import_dump`: makes a read-only mirror of a site from its dump."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from portal.dumps.fetching import opened
from portal.dumps.importing import import_dump
from portal.dumps.manifest import DumpError
from portal.dumps.mirroring import look_again


class Command(BaseCommand):
    help = (
        "Fill an empty database from a site's dump and make this site its read-only mirror. Every file is "
        "held against the manifest first."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("place", help="a folder, or an address like https://SITE/data/latest/")

    def handle(self, *args: Any, place: str, **options: Any) -> None:
        try:
            with opened(place) as (manifest, folder):
                mirror = import_dump(manifest, folder)
        except DumpError as error:
            raise CommandError(str(error)) from error
        look_again()
        rows = sum(file.rows for file in manifest.files)
        self.stdout.write(
            f"{rows:,} rows: this is now a mirror of {mirror.site} as of {mirror.as_of:%Y-%m-%d %H:%M} UTC"
        )
