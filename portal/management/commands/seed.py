"""Fills the boards with invented entries, to work on their pages."""

from __future__ import annotations

import time
from argparse import ArgumentParser, ArgumentTypeError
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from portal.management.seeding import site


class Command(BaseCommand):
    help = (
        "Put invented entries on all boards, in seconds: untuned models, submissions, reference baselines "
        "with their rounds, a retraining, changes on other domains, leakage, and declared rows. Nothing is "
        "trained or evaluated. They carry the mark of demonstration data, and their teams are called "
        "“Invented group”. A second run replaces the first."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--entries", type=_count, default=200, help="on all boards together; %(default)s")
        parser.add_argument("--seed", type=int, default=0, help="another one, other entries; %(default)s")
        parser.add_argument("--clear", action="store_true", help="take all invented entries away instead")
        parser.add_argument(
            "--beside-real-entries",
            action="store_true",
            help="also where entries are published that were not invented; DEBUG=1 allows it too",
        )

    def handle(
        self, *args: Any, entries: int, seed: int, clear: bool, beside_real_entries: bool, **options: Any
    ) -> None:
        began = time.monotonic()
        try:
            if clear:
                self.stdout.write(f"{site.clear()} invented entries are gone")
                return
            real = site.real_entries().count()
            if real and not beside_real_entries and not settings.DEBUG:
                raise CommandError(
                    f"This site has {real} published entries that were not invented. Readers would see both: "
                    "work on another database (VAR_DIR=…), or say --beside-real-entries."
                )
            answered = site.seed(entries, seed=seed)
        except site.SeedingRefused as error:
            raise CommandError(str(error)) from error
        self.stdout.write(f"{entries} invented entries in {time.monotonic() - began:.1f} s")
        if len(answered) > 1:
            self.stdout.write(
                f"With all answers to be read: {', '.join(f'/entries/{number}/' for number in answered)}\n"
                f"Side by side: /compare/?entries={answered[0]},{answered[1]}"
            )
        self.stdout.write("manage.py seed --clear takes them away")


def _count(text: str) -> int:
    if not text.isdecimal() or not int(text):
        raise ArgumentTypeError("at least one")
    return int(text)
