"""Invented entries that are declared only, as those taken over from another board; some cannot be true."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from decimal import ROUND_HALF_UP, Decimal

from evaluation.benchmarks import BENCHMARKS
from evaluation.inspection.declared import DeclaredScore, check_declared_scores
from portal.management.seeding.entries import REMARK, Board
from portal.submissions.models import DeclaredScore as StoredScore
from portal.submissions.models import Finding, Resource, Submission

_IMPOSSIBLE_EVERY = 4
_STEP = Decimal("0.01")


def publish(board: Board, numbers: Sequence[int]) -> None:
    """Publish entries of these numbers, on models that the board's others stand on too."""
    submissions = Submission.objects.bulk_create(_submission(board, number) for number in numbers)
    scores = [_scores(board, impossible=not place % _IMPOSSIBLE_EVERY) for place in range(len(submissions))]
    StoredScore.objects.bulk_create(
        StoredScore.of(submission, score)
        for submission, own in zip(submissions, scores, strict=True)
        for score in own
    )
    Finding.objects.bulk_create(
        Finding(
            submission=submission,
            code=finding.code,
            severity=finding.severity.value,
            message=finding.message,
            location=finding.location,
        )
        for submission, own in zip(submissions, scores, strict=True)
        for finding in check_declared_scores(own)
    )
    Resource.objects.bulk_create(
        Resource(
            submission=submission,
            kind=Resource.Kind.COMMUNICATION,
            basis=Resource.Basis.DECLARED,
            value=float(board.random.uniform(0.3, 150)) * 1024**3,
        )
        for submission in submissions
    )


def _submission(board: Board, number: int) -> Submission:
    model = board.models[int(board.random.integers(len(board.models)))]
    published = board.calendar.of(number)
    return Submission(
        team=board.teams[number % len(board.teams)],
        submitter=board.user,
        challenge=board.challenge.slug,
        kind=Submission.Kind.IMPORTED,
        method=model.name,
        description=REMARK,
        base_model=model,
        status=Submission.Status.PUBLISHED,
        published_at=published,
        status_changed_at=published,
        source_date=published.date(),
        import_digest=hashlib.sha256(f"invented {board.challenge.slug} {number}".encode()).hexdigest(),
    )


def _scores(board: Board, *, impossible: bool) -> list[DeclaredScore]:
    scores = [_possible(slug, float(board.random.uniform(0.25, 0.85))) for slug in board.benchmarks]
    if impossible:
        scores[0] = _next_impossible(scores[0])
    return scores


def _possible(slug: str, share: float) -> DeclaredScore:
    n = BENCHMARKS[slug].rows
    return DeclaredScore(slug, (100 * Decimal(round(share * n)) / n).quantize(_STEP, ROUND_HALF_UP))


def _next_impossible(score: DeclaredScore) -> DeclaredScore:
    """The first figure above that no number of right answers gives."""
    while not check_declared_scores([score]):
        score = DeclaredScore(score.benchmark, score.percent + _STEP)
    return score
