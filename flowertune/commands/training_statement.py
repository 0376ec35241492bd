"""What a submission states of its training data, by options or asked for at the terminal."""

from __future__ import annotations

import argparse
from pathlib import Path

from evaluation.errors import DataError
from evaluation.overlap.report import Report
from flowertune.commands.options import Context
from flowertune.errors import ClientError, UsageError

_OPTION = "--not-trained-on-test-items"
_DEFAULT = "the challenge's training set alone, as the configuration names it"


def add_statement(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        _OPTION,
        action="store_true",
        help="state that no test item of the benchmarks was trained on; needed but for a draft",
    )
    parser.add_argument(
        "--training-data",
        metavar="TEXT",
        help=f"what it was trained on, in your words (default: {_DEFAULT})",
    )
    parser.add_argument(
        "--overlap", type=Path, metavar="FILE", help="the report that `flowertune overlap` wrote of it"
    )


def statement(context: Context) -> dict[str, object]:
    """The API's fields. Raises UsageError where it is not made and nobody can be asked, ClientError at no.

    `--yes` takes what the files suggest; this they cannot, so it is never taken for granted.
    """
    options, console = context.options, context.console
    fields: dict[str, object] = {}
    if options.training_data is not None:
        fields["training_data"] = options.training_data
    if options.overlap is not None:
        fields["overlap"] = _report(options.overlap)
    if options.not_trained_on_test_items:
        return {**fields, "not_trained_on_test_items": True}
    if options.draft:
        return fields
    if options.yes or not console.is_interactive:
        raise UsageError(f"Not stated that no test item of the benchmarks was trained on. Add {_OPTION}.")
    console.note(
        f"Trained on: {options.training_data or _DEFAULT}. (--training-data TEXT says it otherwise.)"
    )
    if not console.confirms("Was no test item of the benchmarks trained on?", default=False):
        raise ClientError("Nothing was sent: a submission states that no test item was trained on.")
    return {**fields, "not_trained_on_test_items": True}


def _report(path: Path) -> str:
    """The report's text as it is. Raises UsageError where it is none."""
    try:
        text = path.read_text(encoding="utf-8")
        Report.from_json(text)
    except (OSError, UnicodeDecodeError, DataError) as error:
        raise UsageError(f"--overlap {path}: {error}") from error
    return text
