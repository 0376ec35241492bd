"""Puts a base model on the list that submissions choose from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from evaluation.errors import EvaluationError
from evaluation.hub import fetching
from portal.submissions.base_models import register_base_model


class Command(BaseCommand):
    help = "Add a base model to the list, or renew its entry, from a folder or from the model hub."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("hub_id", help="as on the Hugging Face Hub: organisation/name")
        parser.add_argument("--path", type=Path, help="load it from this folder instead of the hub")
        parser.add_argument("--revision", help="commit of the hub repository; the newest without it")
        parser.add_argument("--licence", default="")

    def handle(
        self, *args: Any, hub_id: str, path: Path | None, revision: str | None, **options: Any
    ) -> None:
        try:
            if path is None:
                snapshot = fetching.fetch("@".join(filter(None, (hub_id, revision))))
                folder, revision = snapshot.folder, snapshot.commit
            else:
                folder = path.resolve()
            base_model = register_base_model(
                hub_id=hub_id,
                folder=folder,
                revision=revision or "",
                licence=options["licence"],
                from_hub=path is None,
            )
        except EvaluationError as error:
            raise CommandError(str(error)) from error
        self.stdout.write(f"{base_model.hub_id}: {base_model.parameters:,} parameters, open for submissions")
