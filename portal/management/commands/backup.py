"""`manage.py backup`: database, stored files and key, into a folder that keeps several."""

from __future__ import annotations

from argparse import ArgumentParser, ArgumentTypeError
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from portal.management.backups import folder, making
from portal.management.backups.folder import BackupError
from portal.management.backups.programs import ProgramError


class Command(BaseCommand):
    help = (
        "Make a backup of the running site in a folder: the database, the stored files that the folder does "
        "not have yet, and the key. Exit status 1 where it was not made, or a stored "
        "file is missing or damaged."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("folder", type=_path, metavar="DIR")
        parser.add_argument("--keep", type=_count, metavar="N", help="remove all but the newest N backups")

    def handle(self, *args: Any, keep: int | None, **options: Any) -> None:
        root: Path = options["folder"]
        try:
            made = making.make(root)
            removed = []
            if keep:
                with folder.locked(root):
                    removed = folder.remove_but(root, keep)
        except (BackupError, ProgramError, OSError) as error:
            raise CommandError(str(error)) from error
        self.stdout.write(
            f"{made.backup.path}: {made.files} files of {_size(made.bytes)}, {made.new_files} of them new "
            f"({_size(made.new_bytes)}), in {made.seconds:.1f} s"
        )
        if not (made.backup.path / folder.SECRET_KEY).exists():
            self.stdout.write(
                "SECRET_KEY comes from the environment and is not in the backup. Keep it elsewhere: without "
                "it the log's signing key, webhooks' secrets and second factors are lost."
            )
        if removed:
            self.stdout.write(f"Removed: {', '.join(removed)}")
        if made.problems:
            raise CommandError("\n".join(made.problems))


def _path(text: str) -> Path:
    if "://" in text:
        raise ArgumentTypeError("give a folder, and send that elsewhere with a program for it, as rclone")
    return Path(text)


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
