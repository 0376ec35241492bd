"""Serves a demonstration: real base model, real federated baselines, evaluated and ranked, from nothing."""

from __future__ import annotations

import logging
import os
import socket
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError, CommandParser

from evaluation.rules.challenges import CHALLENGES
from portal.machine import static_files
from portal.machine.processes import Site, StopRequested
from portal.management import demonstration
from portal.management.commands.serve import loopback_environment, port_number
from portal.management.demonstration import BaseModelBuild

HOST = "127.0.0.1"
# The untuned small model may write thousands of tokens of a program before it ends. A few must do: those at
# positions 0, n/3 and 2n/3 of the rows; MBPP's first row is one that it answers shortly.
PROGRAMS = 3


class Command(BaseCommand):
    help = (
        "Serve the demonstration until Ctrl-C. The first run trains and evaluates; later ones keep its data."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--port", type=port_number, default=8000)
        parser.add_argument("--exit", action="store_true", help="stop when everything is published")

    def handle(self, *args: Any, port: int, **options: Any) -> None:
        self._began = time.monotonic()
        logging.getLogger("evaluation.sandbox").setLevel(logging.WARNING)  # what else it says is for workers
        self._log = Path(settings.VAR_DIR) / "logs" / "demo.log"
        self._log.parent.mkdir(parents=True, exist_ok=True)
        self._log.touch(mode=0o600)  # the logins are said in it too
        try:
            _require_free(port)
            with BaseModelBuild() as build:
                site = self._prepared(port)
                self.say("Starting web server, worker and scheduler")
                with site:
                    site.wait_until_ready()
                    self._invite(site)
                    self._fill(site, build)
                    if not options["exit"]:
                        site.wait()
        except (StopRequested, KeyboardInterrupt):
            self.say("Stopped")

    def say(self, words: str) -> None:
        self._write(f"[{time.monotonic() - self._began:5.0f} s] {words}\n")

    def _prepared(self, port: int) -> Site:
        """The site that can start: everything is in its database that needs no model."""
        self.say(f"Preparing the database and the static files. All that is said here is in {self._log}")
        with ThreadPoolExecutor(1) as beside:
            hindrance = beside.submit(demonstration.can_run_programs)
            call_command("migrate", verbosity=0)
            static_files.collect()
            demonstration.import_public_board()
        if reason := hindrance.result():
            self.say(f"The code challenge is left out, as its programs cannot be run here: {reason}")
        self._challenges = [slug for slug in CHALLENGES if slug != "code" or not reason]
        site = Site(HOST, port, loopback_environment(HOST, port) | self._settings(), self.say)
        demonstration.prepare_accounts(site.url)
        return site

    def _settings(self) -> dict[str, str]:
        """The demonstration's settings, where the environment does not set others."""
        chosen = {
            "EVALUATION_DATA": "demonstration",
            "EVALUATION_LIMIT": f"code={PROGRAMS}",
            "EVALUATION_PRECISION": "fp32",
            "STAFF_SECOND_FACTOR": "0",
        }
        own = {"DEMONSTRATION": ",".join(self._challenges)}
        return {name: os.environ.get(name) or value for name, value in chosen.items()} | own

    def _invite(self, site: Site) -> None:
        logins = settings.VAR_DIR / "demo.json"
        self.say("The site answers")
        self._write(
            f"\n  {site.url}\n\n  Logins of a submitter and a reviewer, and an API token: {logins}\n"
            + logins.read_text()
            + "\n  The boards hold the public board's history; what is computed now joins it, entry by entry."
            "\n  Ctrl-C stops the site. The next start keeps its data and goes on.\n\n"
        )

    def _fill(self, site: Site, build: BaseModelBuild) -> None:
        build.register(site.check)
        demonstration.make_references(site.url, self._challenges, self.say)
        ended = demonstration.publish_references(self._challenges, self.say, site.check)
        if ended.failures:
            raise CommandError("; ".join(ended.failures))
        self.say(f"Everything is published: {site.url}")

    def _write(self, text: str) -> None:
        self.stdout.write(text, ending="")
        sys.stdout.flush()
        with self._log.open("a", encoding="utf-8") as log:
            log.write(text)


def _require_free(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            raise CommandError(
                f"port {port} is not free ({error.strerror}); try: make demo PORT={port + 1}"
            ) from error
