"""The single answers of a score: JSON lines in storage, opened here alone."""

from __future__ import annotations

from typing import BinaryIO, cast

from django.core.files.storage import default_storage
from django.db.models import QuerySet

from portal.runs.models import DroppedAnswers, Evaluation, Score


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


def name_of_items(evaluation: Evaluation, benchmark: str) -> str:
    """In storage, of what a claimed evaluation stores; another one for each attempt.

    Under one name there is one file for good, which backups that are made meanwhile rely on.
    """
    assert evaluation.claim_id
    return f"{_folder(evaluation)}/{benchmark}-{evaluation.claim_id.hex[:12]}.jsonl"


def clear_left_items(evaluation: Evaluation, benchmark: str) -> None:
    """Remove what is stored of a benchmark that has no score."""
    try:
        _, names = default_storage.listdir(_folder(evaluation))
    except FileNotFoundError:
        return
    for name in names:
        if name.removesuffix(".jsonl").partition("-")[0] == benchmark:
            default_storage.delete(f"{_folder(evaluation)}/{name}")


def _folder(evaluation: Evaluation) -> str:
    return f"evaluations/{evaluation.pk}"
