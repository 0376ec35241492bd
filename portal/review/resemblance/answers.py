"""Which entries made the same mistakes as one, of those asked the same items on the same base model."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Iterator

import numpy
from django.db.models import QuerySet

from evaluation.benchmarks import BENCHMARKS
from evaluation.resemblance.results import SharedMistakes
from evaluation.resemblance.wrong_answers import Chance, Codes, codes
from portal.outages.causes import storage_access
from portal.runs.items import ItemsMissingError, open_items
from portal.runs.models import Evaluation, Score, WrongAnswers
from portal.submissions.models import Submission

_ROWS = 100

logger = logging.getLogger(__name__)


def without_answers() -> QuerySet[Score]:
    """Scores of finished evaluations whose wrong answers are not kept yet."""
    done = Score.objects.filter(evaluation__in=_counting().order_by().values("pk"), wrong_answers=None)
    return done.order_by("pk")


def keep_answers(score: Score) -> WrongAnswers:
    """Store a score's wrong answers; none where its items are gone or damaged. Raises StorageError."""
    benchmark = BENCHMARKS.get(score.benchmark)
    is_program = benchmark is not None and benchmark.language is not None
    kept = b""
    try:
        with storage_access(), open_items(score) as file:
            kept = codes(file, is_program=is_program).astype("<u2").tobytes()
    except (ItemsMissingError, ValueError) as error:
        logger.warning("the wrong answers of score %s cannot be read: %s", score.pk, error)
    stored, _ = WrongAnswers.objects.update_or_create(score=score, defaults={"codes": kept})
    return stored


def search(submission: Submission) -> dict[int, SharedMistakes]:
    """The mistakes that a submission's last complete evaluation shares with each other's, by submission.

    Those of the others are read twice, a few at a time: to know what chance gives, and then to compare.
    """
    done = _counting().filter(submission=submission, checkpoint=submission.checkpoint_id)
    evaluation = done.order_by("protocol", "-pk").first()
    if evaluation is None:
        return {}
    own = {
        score.benchmark: (score.data_digest, _codes(score.wrong_answers.codes))
        for score in evaluation.scores.filter(wrong_answers__isnull=False).select_related("wrong_answers")
    }
    own = {benchmark: kept for benchmark, kept in own.items() if len(kept[1])}
    if not own:
        return {}
    chance = Chance(numpy.concatenate([answers for _, answers in own.values()]))
    for _, answers in _others(evaluation, own):
        chance.add(answers)
    compared = [(pk, chance.agreement(answers)) for pk, answers in _others(evaluation, own)]
    shared = chance.judged([agreement for _, agreement in compared])
    return {pk: found for (pk, _), found in zip(compared, shared, strict=True)}


def _counting() -> QuerySet[Evaluation]:
    """Finished ones, without audits."""
    return Evaluation.objects.filter(status=Evaluation.Status.SUCCEEDED, for_audit=False)


def _others(evaluation: Evaluation, own: dict[str, tuple[str, Codes]]) -> Iterator[tuple[int, Codes]]:
    """Of each other submission the answers to the same items, zeros for a benchmark that it was not asked."""
    last = (
        _counting()
        .filter(
            protocol=evaluation.protocol,
            base_model=evaluation.base_model_id,
            submission__challenge=evaluation.submission.challenge,
        )
        .exclude(submission=evaluation.submission_id)
        .order_by("submission_id", "-pk")
        .distinct("submission_id")
    )
    rows = (
        WrongAnswers.objects.filter(score__evaluation__in=last.values("pk"), score__benchmark__in=list(own))
        .order_by("score__evaluation__submission_id")
        .values_list("score__evaluation__submission", "score__benchmark", "score__data_digest", "codes")
    )
    for submission, scores in itertools.groupby(rows.iterator(chunk_size=_ROWS), key=lambda row: row[0]):
        found = {
            benchmark: _codes(kept) for _, benchmark, digest, kept in scores if digest == own[benchmark][0]
        }
        pieces = [
            found[benchmark] if len(found.get(benchmark, ())) == len(answers) else numpy.zeros_like(answers)
            for benchmark, (_, answers) in own.items()
        ]
        yield submission, numpy.concatenate(pieces)


def _codes(kept: bytes) -> Codes:
    return numpy.frombuffer(kept, "<u2")
