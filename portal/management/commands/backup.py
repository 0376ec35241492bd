"""`manage.py backup`: database, stored files and key, into a folder or a bucket that keeps several."""

from __future__ import annotations

from argparse import ArgumentParser, ArgumentTypeError
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from portal.management.backups import making, places
from portal.management.backups.contents import BackupError
from portal.management.backups.programs import ProgramError
from portal.outages.causes import storage_errors


class Command(BaseCommand):
    help = (
        "Make a backup of the running site in a folder or a bucket: the database, the stored files that are "
        "not there yet, and the key. Exit status 1 where it was not made, or a stored "
        "file is missing or damaged."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        places.add_arguments(parser)
        parser.add_argument("--keep", type=_count, metavar="N", help="remove all but the newest N backups")

    def handle(self, *args: Any, target: str, profile: str, keep: int | None, **options: Any) -> None:
        refusals: tuple[type[Exception], ...] = (BackupError, ProgramError, *storage_errors())
        try:
            place = places.place_at(target, profile)
            made = making.make(place)
            removed = []
            if keep:
                with place.locked():
                    removed = place.remove_but(keep)
        except refusals as error:
            raise CommandError(str(error)) from error
        self.stdout.write(
            f"{made.shown}: {made.files} files of {_size(made.bytes)}, {made.new_files} of them new "
            f"({_size(made.new_bytes)}), in {made.seconds:.1f} s"
        )
        if not made.with_key:
            self.stdout.write(
                "SECRET_KEY comes from the environment and is not in the backup. Keep it elsewhere: without "
                "it the log's signing key, webhooks' secrets and second factors are lost."
            )
        if removed:
            self.stdout.write(f"Removed: {', '.join(removed)}")
        if made.problems:
            raise CommandError("\n".join(made.problems))


def _count(text: str) -> int:
    if not text.isdecimal() or not int(text):
        raise ArgumentTypeError("at least one")
    return int(text)


def _size(count: float) -> str:
    for unit in ("B", "kB", "MB"):
        if count < 1000:
            return f"{count:.0f} {unit}"
        count /= 1000
    return f"{count:.1f} GB"
