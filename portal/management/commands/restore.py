"""`manage.py restore`: a site from a backup, into an empty database and an empty storage."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError

from portal.management.backups import places, restoring
from portal.management.backups.contents import BackupError
from portal.management.backups.programs import ProgramError
from portal.outages.causes import storage_errors


class Command(BaseCommand):
    help = (
        "Check a backup against its digests, bring it into an empty database and storage, and check the "
        "integrity of what is there then."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        places.add_arguments(parser)
        parser.add_argument("--backup", default="", metavar="NAME", help="which; by default the newest")
        parser.add_argument("--check-only", action="store_true", help="only check it, and restore nothing")
        parser.add_argument(
            "--with-other-key",
            action="store_true",
            help="go on without the backup's SECRET_KEY, and lose what is sealed with it",
        )

    def handle(
        self,
        *args: Any,
        target: str,
        profile: str,
        backup: str,
        check_only: bool,
        with_other_key: bool,
        **options: Any,
    ) -> None:
        refusals: tuple[type[Exception], ...] = (BackupError, ProgramError, *storage_errors())
        try:
            place = places.place_at(target, profile)
            with place.read(place.chosen(backup)) as found:
                if check_only:
                    manifest = restoring.sound(place, found)
                    self.stdout.write(f"{found.shown} is whole: {manifest['files']} files, and the database")
                    return
                restored = restoring.restore(place, found, with_other_key=with_other_key)
        except refusals as error:
            raise CommandError(str(error)) from error
        self.stdout.write(f"{found.shown} is restored: {restored.files} files, in {restored.seconds:.1f} s")
        for note in restored.notes:
            self.stdout.write(note)
        call_command("check_integrity", without=restored.deleted_meanwhile, stdout=self.stdout)
