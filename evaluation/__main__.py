"""The command line: `python -m evaluation COMMAND`, without the site and its database."""

from __future__ import annotations

import argparse
import importlib.metadata
import io
import os
import platform
import sys
from collections.abc import Sequence

from evaluation.commands import compare, curve, data, energy, inspect, listing, run
from evaluation.commands.options import Command
from evaluation.commands.status import EXIT_STATUSES, Status
from evaluation.errors import EvaluationError
from evaluation.rules import protocol

_DISTRIBUTION = "flowertune-leaderboard"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; returns its exit status. Results go to stdout, all else to stderr."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal without `…` must not cost a run its results
    options = _parser().parse_args(arguments)
    command: Command = options.command
    try:
        status = command(options)
        sys.stdout.flush()
    except EvaluationError as error:
        print(f"error: {error}", file=sys.stderr)
        return Status.RETRYABLE if error.retryable else Status.FAILED
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return Status.INTERRUPTED
    except BrokenPipeError:
        # Whoever read the output has had enough. Python would complain once more when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return Status.FAILED
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m evaluation",
        description="Evaluate language models and their adapters on the FlowerTune benchmarks.",
        epilog=(
            "examples:\n"
            "  python -m evaluation list\n"
            "  python -m evaluation run --help\n"
            "  python -m evaluation run --model DIR --challenge finance --data DIR --output a.json\n"
            "  python -m evaluation compare a.json b.json\n\n" + EXIT_STATUSES
        ),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=_version())
    commands = parser.add_subparsers(required=True, metavar="COMMAND", title="commands")
    listing.add(commands)
    data.add(commands)
    run.add_run(commands)
    run.add_score(commands)
    compare.add(commands)
    curve.add(commands)
    energy.add(commands)
    inspect.add(commands)
    return parser


def _version() -> str:
    try:
        version = importlib.metadata.version(_DISTRIBUTION)
    except importlib.metadata.PackageNotFoundError:
        version = "(not installed)"
    return (
        f"{_DISTRIBUTION} {version}, protocol {protocol.CURRENT.number}, Python {platform.python_version()}"
    )


if __name__ == "__main__":
    sys.exit(main())
