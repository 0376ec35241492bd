"""`manage.py rotate_signing_key`: signs with a new key from now on; the old one stays published."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand

from portal.transparency import keys


class Command(BaseCommand):
    help = (
        "Make a new signing key and put it in the place of the one in use, whose private half is deleted. "
        "What it signed stays valid, and it vouches for the new one."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        made = keys.rotate()
        self.stdout.write(f"From now on key {made.kid} signs.")
        if made.endorsement is None:
            self.stdout.write(
                "No key before it vouches for it. Tell readers its id by another way: programs that kept "
                "your earlier keys will not trust it by themselves."
            )
