"""What the commands' options have in common."""

from __future__ import annotations

import argparse
import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

from evaluation.commands.status import EXIT_STATUSES, Status
from evaluation.commands.text import paragraph
from evaluation.rules import protocol

Command = Callable[[argparse.Namespace], Status]
Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"


def add_command(
    commands: Commands, name: str, command: Command, *, summary: str, about: str, examples: str
) -> argparse.ArgumentParser:
    """A command with a line in the list of commands, and a help page with examples."""
    parser = commands.add_parser(
        name,
        help=summary,
        description=paragraph(about),
        epilog=f"examples:\n{examples}\n{EXIT_STATUSES}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.set_defaults(command=command)
    return parser


def add_protocol(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--protocol",
        type=int,
        default=protocol.CURRENT.number,
        metavar="N",
        help=f"number of the protocol (default: {protocol.CURRENT.number})",
    )


def add_data(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--data",
        default=os.environ.get("EVALUATION_DATA"),
        metavar="DIR",
        help="folder with mmlu.jsonl, fpb.jsonl …, or `demonstration` for the small built-in items "
        "(default: the environment variable EVALUATION_DATA, else the hub)",
    )


def add_output(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--output", type=Path, metavar="FILE", help="write the results as JSON")
    parser.add_argument("--items", type=Path, metavar="FILE", help="write every item as a line of JSON")
    parser.add_argument("--json", action="store_true", help="print the results as JSON instead of a table")
    parser.add_argument("--quiet", action="store_true", help="show no progress")


def real(least: float, most: float = math.inf) -> Callable[[str], float]:
    """An option's type: a number in a range, a finite one."""

    def parse(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"{text!r} is not a number") from None
        if not (least <= value <= most and math.isfinite(value)):
            limits = f"at least {least:g}" if most == math.inf else f"from {least:g} to {most:g}"
            raise argparse.ArgumentTypeError(f"{text} is not a number {limits}")
        return value

    return parse


def number(least: int, most: int | None = None) -> Callable[[str], int]:
    """An option's type: an integer in a range."""

    def parse(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"{text!r} is not a whole number") from None
        if value < least or (most is not None and value > most):
            limits = f"at least {least:,}" if most is None else f"from {least:,} to {most:,}"
            raise argparse.ArgumentTypeError(f"{value} is not {limits}")
        return value

    return parse
