"""Puts a base model on the list that submissions choose from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from evaluation.demonstration import installed_model
from evaluation.errors import EvaluationError
from evaluation.hub import fetching
from evaluation.hub.renaming import current_name
from evaluation.rules.base_size import named_size
from evaluation.rules.challenges import CHALLENGES
from portal.submissions.base_models import open_challenges, register_base_model


class Command(BaseCommand):
    help = "Add a base model to the list, or renew its entry, from a folder or from the model hub."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "hub_id",
            help="as on the Hugging Face Hub: organisation/name; or `demonstration` for the small model "
            "that is built from its package",
        )
        parser.add_argument("--path", type=Path, help="load it from this folder instead of the hub")
        parser.add_argument("--revision", help="commit of the hub repository; the newest without it")
        parser.add_argument("--licence", default="")
        parser.add_argument(
            "--alias", action="append", default=[], help="another name of this very model; may be given again"
        )

    def handle(
        self, *args: Any, hub_id: str, path: Path | None, revision: str | None, **options: Any
    ) -> None:
        aliases: list[str] = list(options["alias"])
        licence: str = options["licence"]
        try:
            if hub_id == installed_model.NAME:
                hub_id, path = installed_model.HUB_ID, path or installed_model.built()
                licence = licence or installed_model.LICENCE
            if path is None:
                self._warn_of_size(hub_id)
                snapshot = fetching.fetch("@".join(filter(None, (hub_id, revision))))
                folder, revision = snapshot.folder, snapshot.commit
                if (current := current_name(hub_id)) != hub_id:
                    self.stdout.write(f"The hub calls {hub_id} {current} today: that is taken as an alias.")
                    aliases.append(current)
            else:
                folder = path.resolve()
            base_model = register_base_model(
                hub_id=hub_id,
                folder=folder,
                revision=revision or "",
                licence=licence,
                aliases=aliases,
                from_hub=path is None,
            )
        except EvaluationError as error:
            raise CommandError(str(error)) from error
        size = base_model.parameters or 0
        closed = "closed to submissions by staff; the administration opens it (“active”)"
        openness = _openness(size) if base_model.active else closed
        self.stdout.write(f"{base_model.hub_id}: {size:,} parameters, {openness}")

    def _warn_of_size(self, hub_id: str) -> None:
        """Before hours of fetching; the files decide."""
        named = named_size(hub_id)
        if named and not open_challenges(named):
            self.stderr.write(f"By its name {hub_id} has some {named:,} parameters, {_openness(named)}.")


def _openness(parameters: int) -> str:
    challenges = open_challenges(parameters)
    if not challenges:
        return "over the limit (BASE_MODEL_MAX_PARAMETERS): it takes no new submissions"
    which = "" if len(challenges) == len(CHALLENGES) else f" to {', '.join(challenges)} alone"
    return f"open for submissions{which}"
