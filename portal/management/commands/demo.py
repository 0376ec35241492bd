"""Serves a demonstration: real base model, real federated baselines, evaluated and ranked, from nothing."""

from __future__ import annotations

import os
import socket
import sys
import time
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError, CommandParser

from portal.machine import static_files
from portal.machine.processes import Site, StopRequested
from portal.management import demonstration
from portal.management.commands.serve import loopback_environment, port_number

HOST = "127.0.0.1"


class Command(BaseCommand):
    help = (
        "Serve the demonstration until Ctrl-C. The first run trains and evaluates; later ones keep its data."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--port", type=port_number, default=8000)
        parser.add_argument("--exit", action="store_true", help="stop when everything is published")

    def handle(self, *args: Any, port: int, **options: Any) -> None:
        self._began = time.monotonic()
        try:
            _require_free(port)
            self.say("Preparing the database and the static files")
            call_command("migrate", verbosity=0)
            static_files.collect()
            demonstration.prepare_base_model(self.say)
            site = Site(HOST, port, loopback_environment(HOST, port) | self._settings(), self.say)
            demonstration.prepare_accounts(site.url)
            self.say("Starting web server, worker and scheduler")
            with site:
                self._fill(site)
                self._invite(site)
                if not options["exit"]:
                    site.wait()
        except StopRequested:
            self.say("Stopped")

    def say(self, words: str) -> None:
        self.stdout.write(f"[{time.monotonic() - self._began:5.0f} s] {words}")
        self.stdout.flush()

    @staticmethod
    def _settings() -> dict[str, str]:
        """The demonstration's settings, where the environment does not set others."""
        chosen = {
            "EVALUATION_DATA": "demonstration",
            "EVALUATION_PRECISION": "fp32",
            "STAFF_SECOND_FACTOR": "0",
        }
        return {name: os.environ.get(name) or value for name, value in chosen.items()}

    def _fill(self, site: Site) -> None:
        site.wait_until_ready()
        demonstration.make_references(site.url, self.say)
        demonstration.publish_references(self.say, site.check)
        if failed := demonstration.failed_references():
            raise CommandError("; ".join(failed))

    def _invite(self, site: Site) -> None:
        self.say("Everything is published")
        logins = settings.VAR_DIR / "demo.json"
        self.stdout.write(
            f"\n  {site.url}\n\n  Logins of a submitter and a reviewer, and an API token: {logins}\n"
            + logins.read_text()
            + "\n  Ctrl-C stops the site. The next start keeps its data.\n"
        )
        sys.stdout.flush()


def _require_free(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            raise CommandError(
                f"port {port} is not free ({error.strerror}); try: make demo PORT={port + 1}"
            ) from error
