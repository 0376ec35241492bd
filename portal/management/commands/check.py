"""Django's `check`, which with `--tag site` looks at the world too."""

from __future__ import annotations

from typing import Any

from django.core.management.commands import check

from portal.site_checks import registering


class Command(check.Command):
    help = f"{check.Command.help} With --tag site: whether this machine can run the site."

    def handle(self, *app_labels: list[str], **options: Any) -> None:
        if registering.TAG not in (options["tags"] or ()):
            super().handle(*app_labels, **options)
            return
        registering.register_all()
        self.stdout.write(f"Looking at {', '.join(registering.ALL)}.")
        super().handle(*app_labels, **options)
