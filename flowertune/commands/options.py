"""What the commands' options have in common, and what a command works with."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from evaluation.commands.text import paragraph
from flowertune.console import Console
from flowertune.errors import ClientError, UsageError
from flowertune.exit_status import EXIT_STATUSES, Status
from flowertune.kept_files import Credentials
from flowertune.site import Site, normal_url

URL_VARIABLE, TOKEN_VARIABLE = "FLOWERTUNE_URL", "FLOWERTUNE_TOKEN"


@dataclass(frozen=True)
class Context:
    """One call: its options, and where it shows and asks."""

    options: argparse.Namespace
    console: Console

    def url(self) -> str:
        """The site that is meant: by option, by environment, or where one logged in last."""
        given = self.options.url or os.environ.get(URL_VARIABLE) or Credentials.read().default
        if not given:
            raise UsageError(
                f"Which site? Run `flowertune login --url URL` first, or set {URL_VARIABLE} and "
                f"{TOKEN_VARIABLE}."
            )
        return normal_url(given)

    def site(self, *, needs_token: bool = True) -> Site:
        """The site, with the token that belongs to it. Raises ClientError where one is needed and missing."""
        url = self.url()
        token = os.environ.get(TOKEN_VARIABLE) or Credentials.read().tokens.get(url)
        if token is None and needs_token:
            raise ClientError(
                f"You are not logged in to {url}. Run `flowertune login --url {url}`, or set "
                f"{TOKEN_VARIABLE}.",
                code="not_logged_in",
            )
        return Site(url, token)


Command = Callable[[Context], Status]
Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"


def add_command(
    commands: Commands, name: str, command: Command, *, summary: str, about: str, examples: str
) -> argparse.ArgumentParser:
    """A command with a line in the list of commands, a help page with examples, --url and --json."""
    parser = commands.add_parser(
        name,
        help=summary,
        description=paragraph(about),
        epilog=f"examples:\n{examples}\n{EXIT_STATUSES}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument(
        "--url", metavar="URL", help=f"the site (default: {URL_VARIABLE}, else the last login's)"
    )
    parser.add_argument("--json", action="store_true", help="one JSON document on stdout, and no questions")
    parser.set_defaults(command=command)
    return parser


def add_number(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("id", type=number, metavar="ID", help="the submission's number")


def number(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) < 19):
        raise argparse.ArgumentTypeError(f"{text!r} is not a submission's number")
    return int(text)
