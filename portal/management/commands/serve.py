"""Serves the site on one machine: web server, worker and scheduler, until Ctrl-C."""

from __future__ import annotations

from argparse import ArgumentTypeError
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandParser

from portal.machine import static_files
from portal.machine.processes import Site, StopRequested, address
from portal.submissions.models import BaseModel


class Command(BaseCommand):
    help = "Serve the site with a worker and the scheduler on this machine until Ctrl-C."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--port", type=port_number, default=8000)
        parser.add_argument("--host", default="127.0.0.1")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            call_command("migrate", verbosity=0)
            static_files.collect()
            host, port = options["host"], options["port"]
            self._warn()
            with Site(host, port, loopback_environment(host, port), self.stderr.write) as site:
                site.wait_until_ready()
                self.stdout.write(
                    f"Serving on {site.url} – Ctrl-C stops it. Logs: {settings.VAR_DIR / 'logs'}"
                )
                site.wait()
        except StopRequested:
            self.stdout.write("Stopped.")

    def _warn(self) -> None:
        """Say at once what would otherwise show only when a submission waits for ever."""
        if not BaseModel.objects.filter(active=True).exists():
            self.stderr.write("No base model is on the list: add one with manage.py add_base_model.")


def loopback_environment(host: str, port: int) -> dict[str, str]:
    """Loopback addresses have no TLS, so cookies must work without it; elsewhere nothing is relaxed."""
    if host not in ("127.0.0.1", "localhost", "::1"):
        return {}
    return {"HTTPS": "0", "SITE_URL": f"http://{address(host, port)}"}


def port_number(text: str) -> int:
    """A TCP port as --port names it. Raises ArgumentTypeError."""
    if text.isascii() and text.isdecimal() and 0 < int(text[:6]) < 65536:
        return int(text)
    raise ArgumentTypeError(f"{text!r} is no port: 1 to 65535")
