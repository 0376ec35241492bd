"""`manage.py import_hub_collection`: submits adapters of a hub collection, those that reviewers choose."""

from __future__ import annotations

from argparse import ArgumentParser
from collections import Counter
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from evaluation.errors import EvaluationError, HubError
from evaluation.federated import presets
from evaluation.hub.collection import fetch_collection
from evaluation.method.strategies import STRATEGIES
from evaluation.rules.challenges import CHALLENGES
from portal.accounts.access import may_submit_references
from portal.accounts.models import User
from portal.intake.collection_import import Wanted, import_adapters, shown


class Command(BaseCommand):
    help = (
        "Submit the adapters of a collection on the model hub as reference entries, each with its card and "
        "its commit on record. Without --user the collection is only listed. What is there already stays."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("collection", help="owner/title-0123…, owner/title, or the address of its page")
        parser.add_argument("--challenge", required=True, choices=list(CHALLENGES))
        parser.add_argument("--user", help="reviewer who submits them: may submit reference entries")
        parser.add_argument("--only", action="append", default=[], metavar="OWNER/NAME", help="repeatable")
        parser.add_argument("--subfolder", default="", help="where in a repository the adapter is")
        parser.add_argument(
            "--preset",
            default="",
            choices=["", *presets.PRESETS],
            help="what adapters without a pyproject.toml were trained by, as you state it; without it they "
            "become drafts",
        )
        parser.add_argument(
            "--strategy",
            default="",
            choices=["", *(info.name for info in STRATEGIES.values() if info.builder)],
            help="and with which strategy (default: that in the repository's name, else fedavg)",
        )

    def handle(self, *args: Any, collection: str, user: str | None, **options: Any) -> None:
        challenge = options["challenge"]
        try:
            found = fetch_collection(collection)
            if user is None:
                self.stdout.write(f"{found.title}, {found.url}: {len(found.models)} models")
                self.stdout.write("\n".join(shown(found, challenge)))
                return
            wanted = Wanted(
                challenge,
                tuple(options["only"]),
                options["subfolder"],
                options["preset"],
                options["strategy"],
            )
            counts = Counter[str]()
            for made in import_adapters(found, wanted, user=_user(user)):
                there = f"submission {made.submission.pk}" if made.submission else "left out"
                self.stdout.write(f"{made.repository}: {there}{f', {made.reason}' if made.reason else ''}")
                counts[(made.reason if made.submission else "left out") or "new"] += 1
            self.stdout.write(", ".join(f"{count} {what}" for what, count in counts.items()) or "nothing")
        except HubError as error:
            raise CommandError(f"{error}; what is named above stays, and the same command goes on") from error
        except EvaluationError as error:
            raise CommandError(str(error)) from error


def _user(name: str) -> User:
    user = User.objects.filter(username=name, is_active=True).first()
    if user is None or not may_submit_references(user):
        raise CommandError(f"{name} is no active account that may submit reference entries")
    return user
