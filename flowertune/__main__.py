"""The command line `flowertune`, also `python -m flowertune`."""

from __future__ import annotations

import argparse
import contextlib
import importlib.metadata
import io
import os
import sys
from collections.abc import Sequence

from evaluation.errors import EvaluationError, UnknownNameError
from flowertune.commands import account, card, catalogue, explain, follow, log, overlap, submit, verify
from flowertune.commands.options import Command, Context
from flowertune.console import Console
from flowertune.errors import ClientError, TemporaryError, UsageError
from flowertune.exit_status import EXIT_STATUSES, Status
from flowertune.texts import findings_text

# The client alone, or a checkout of the site with it.
_DISTRIBUTIONS = ("flowertune", "flowertune-leaderboard")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; returns its exit status. Results go to stdout, all else to stderr."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
    options = _parser().parse_args(arguments)
    command: Command = options.command
    console = Console(as_json=options.json)
    try:
        return command(Context(options, console))
    except EvaluationError as error:
        known = _as_client_error(error)
        console.failed(known, findings_text(known.findings))
        return known.status
    except KeyboardInterrupt:
        sys.stderr.write("\ninterrupted; the same command goes on from here\n")
        return Status.INTERRUPTED
    except BrokenPipeError:
        # Whoever read the output has had enough. Python would complain once more when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return Status.REFUSED


def _as_client_error(error: EvaluationError) -> ClientError:
    """Errors of the checks, by what they mean for the command."""
    if isinstance(error, ClientError):
        return error
    if isinstance(error, UnknownNameError):
        return UsageError(str(error), code=error.code)
    kind = TemporaryError if error.retryable else ClientError
    return kind(str(error), code=error.code)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="flowertune",
        description="Submit federated fine-tuned adapters to a FlowerTune leaderboard, and follow them.",
        epilog=(
            "examples:\n"
            "  flowertune login --url https://leaderboard.example.org\n"
            "  flowertune submit . --challenge finance --watch\n"
            "  flowertune results 12\n\n" + EXIT_STATUSES
        ),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=_version())
    commands = parser.add_subparsers(required=True, metavar="COMMAND", title="commands")
    for module in (account, submit, follow, log, catalogue, explain, overlap, verify, card):
        module.add(commands)
    return parser


def _version() -> str:
    for name in _DISTRIBUTIONS:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            return f"{name} {importlib.metadata.version(name)}"
    return "flowertune (not installed)"


if __name__ == "__main__":
    sys.exit(main())
