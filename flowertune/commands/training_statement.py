"""What a submission states of its training data, by options or asked for at the terminal."""

from __future__ import annotations

import argparse

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


def statement(context: Context) -> dict[str, object]:
    """The API's fields. Raises UsageError where it is not made and nobody can be asked, ClientError at no.

    `--yes` takes what the files suggest; this they cannot, so it is never taken for granted.
    """
    options, console = context.options, context.console
    fields: dict[str, object] = {}
    if options.training_data is not None:
        fields["training_data"] = options.training_data
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
