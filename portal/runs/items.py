"""The single answers of a score: JSON lines in storage, opened here alone."""

from __future__ import annotations

from typing import BinaryIO, cast

from portal.runs.models import Score


class ItemsMissingError(Exception):
    """The single answers of a score are not there to be read; the text says so to a reader."""


def open_items(score: Score) -> BinaryIO:
    """Raises ItemsMissingError."""
    if not score.items:
        raise ItemsMissingError("The single answers of this score were not kept.")
    try:
        return cast(BinaryIO, score.items.open("rb"))
    except FileNotFoundError as error:
        raise ItemsMissingError("The single answers of this score are no longer in storage.") from error
