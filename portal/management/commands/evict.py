"""Has a worker's machine remove a base model from the hub's cache, or lists what is there."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from portal.management.operators import add_reason_and_name, operator, refusals_told
from portal.operate import evictions, overview

_GB = 1024**3


class Command(BaseCommand):
    help = (
        "Have a machine's worker remove a base model from the hub's cache within seconds, unless it is in "
        "use. Without names: list what workers have there."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("machine", nargs="?")
        parser.add_argument("model", nargs="?", help="As on the hub: organisation/name")
        add_reason_and_name(parser, required=False)

    def handle(self, *args: Any, machine: str | None, model: str | None, **options: Any) -> None:
        if machine is None:
            self._list()
            return
        if model is None:
            raise CommandError("name a machine and a base model")
        with refusals_told():
            evictions.evict(machine, model, reason=options["reason"], by=operator(options["by"]))
        self.stdout.write(f"{machine} is asked to remove {model}; manage.py evict shows what came of it.")

    def _list(self) -> None:
        seen = overview.overview()
        for cache in seen.caches:
            self.stdout.write(f"{cache.machine}: {cache.bytes / _GB:.1f} GB")
            for model in cache.models:
                asked = "  (asked to be removed)" if model.repo in cache.asked else ""
                self.stdout.write(
                    f"  {model.bytes / _GB:8.1f} GB  {model.repo}, used {model.used_at[:16]}{asked}"
                )
        for done in seen.evicted:
            self.stdout.write(f"{done}: {done.outcome}")
