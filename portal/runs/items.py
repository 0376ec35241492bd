"""The single answers of a score: JSON lines in storage, opened here alone."""

from __future__ import annotations

from typing import BinaryIO, cast

from django.db.models import QuerySet

from portal.runs.models import DroppedAnswers, Score


class ItemsMissingError(Exception):
    """The single answers of a score are not there to be read; the text says so to a reader."""


def kept_answers() -> QuerySet[Score]:
    """The scores whose single answers are to be in storage."""
    return Score.objects.exclude(items="").filter(dropped_answers=None)


def open_items(score: Score) -> BinaryIO:
    """Raises ItemsMissingError."""
    if not score.items:
        raise ItemsMissingError("The single answers of this score were not kept.")
    try:
        return cast(BinaryIO, score.items.open("rb"))
    except FileNotFoundError as error:
        raise ItemsMissingError(_why_gone(score)) from error


def _why_gone(score: Score) -> str:
    dropped = DroppedAnswers.objects.filter(score=score).first()
    if dropped is None:
        return "The single answers of this score are no longer in storage."
    return (
        f"The single answers of this score were removed on {dropped.dropped_at:%Y-%m-%d}, as the entry was "
        f"never published. Their SHA-256 is {dropped.sha256}."
    )
