"""Which single answers are kept, and for how long: those of entries that never were published may go."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from datetime import datetime

from django.db.models import QuerySet

from portal.runs.items import ItemsMissingError, kept_answers, open_items
from portal.runs.models import DroppedAnswers, Evaluation, Score
from portal.submissions.models import Submission

_ENDED = (
    Submission.Status.REJECTED,
    Submission.Status.WITHDRAWN,
    Submission.Status.FAILED,
    Submission.Status.INVALID,
)
_PART = 500
_PIECE = 1024**2


def unpublished_since(moment: datetime) -> QuerySet[Score]:
    """Scores with kept answers, of submissions that ended before the moment and were never on a board."""
    return (
        kept_answers()
        .filter(
            evaluation__submission__published_at=None,
            evaluation__submission__status__in=_ENDED,
            evaluation__submission__status_changed_at__lt=moment,
        )
        .exclude(evaluation__status__in=Evaluation.ACTIVE)
    )


def drop(scores: QuerySet[Score]) -> Iterator[DroppedAnswers]:
    """Remove their answers from storage one by one, each once its digest is written down.

    If that is broken off in between, the file is one that nothing speaks of. A missing file has no digest to
    keep, and stays a problem for the check of integrity.
    """
    for score in scores.order_by("pk").defer("correct_bits", "scored_bits").iterator(_PART):
        try:
            digest, size = _digest(score)
        except ItemsMissingError:
            continue
        dropped = DroppedAnswers.objects.create(score=score, sha256=digest, size=size)
        score.items.storage.delete(str(score.items.name))
        yield dropped


def _digest(score: Score) -> tuple[str, int]:
    """SHA-256 and bytes. Raises ItemsMissingError."""
    digest, size = hashlib.sha256(), 0
    with open_items(score) as file:
        while piece := file.read(_PIECE):
            digest.update(piece)
            size += len(piece)
    return digest.hexdigest(), size
