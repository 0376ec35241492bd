"""The life of an evaluation: enqueue, claim, record, finish. Workers write only under their claim."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import fields
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.core.files.base import File
from django.db import transaction
from django.db.models import BooleanField, Case, Q, Value, When
from django.utils import timezone

from evaluation import rules
from evaluation.rules import protocol as protocols
from evaluation.rules.protocol import PROTOCOLS
from evaluation.wire.evaluating import Scored
from portal.notifications.services import submission_changed
from portal.queues import wake_board_builders, wake_evaluators
from portal.runs import claims, data_register, reproductions
from portal.runs.models import Evaluation, Score
from portal.submissions.models import Submission

# An evaluation that waited this long goes first even if another one's base model is loaded already.
OVERDUE = timedelta(minutes=15)

_MEASURED = [field.name for field in fields(Scored) if field.name not in ("job", "items")]


@transaction.atomic
def enqueue(submission: Submission, *, priority: int = 0, protocol: int | None = None) -> Evaluation:
    """Queue an evaluation of `submission` under a protocol, by default the site's, and wake the workers.

    A published one stays published; the scores that it has count until new ones under the same protocol are
    complete, and those under other protocols go on. Raises UnknownNameError where there is no such protocol.
    """
    evaluation = Evaluation.objects.create(
        submission=submission,
        base_model=submission.base_model,
        checkpoint=submission.checkpoint,
        protocol=protocols.get(settings.LEADERBOARD_PROTOCOL if protocol is None else protocol).number,
        priority=priority,
    )
    _set_submission_status(submission, Submission.Status.QUEUED)
    wake_evaluators()
    return evaluation


@transaction.atomic
def claim(
    *, worker: str, loaded_base_model: int | None = None, without: Collection[tuple[str, int]] = ()
) -> Evaluation | None:
    """Take the next queued evaluation for `worker`, or return None when none waits.

    Left to others are those of protocols that this version does not know, and `without`: pairs of a challenge
    and a protocol.
    """
    left = [Q(submission__challenge=challenge, protocol=number) for challenge, number in without]
    warm = Case(
        When(base_model=loaded_base_model, then=Value(True)),
        default=Value(False),
        output_field=BooleanField(),
    )
    overdue = Case(
        When(queued_at__lt=timezone.now() - OVERDUE, then=Value(True)),
        default=Value(False),
        output_field=BooleanField(),
    )
    candidates = (
        Evaluation.objects.filter(*(~pair for pair in left), protocol__in=list(PROTOCOLS))
        .annotate(overdue=overdue, warm=warm)
        .order_by("-priority", "-overdue", "-warm", "queued_at", "pk")
    )
    claim_id = claims.take(candidates, worker=worker)
    if claim_id is None:
        return None
    evaluation = Evaluation.objects.select_related("submission", "base_model", "checkpoint").get(
        claim_id=claim_id
    )
    _set_submission_status(evaluation.submission, Submission.Status.EVALUATING)
    return evaluation


@transaction.atomic
def remaining_benchmarks(evaluation: Evaluation, benchmarks: Sequence[str]) -> list[str]:
    """Return those of `benchmarks` that earlier attempts did not score; at least one.

    Where all are scored but the end was not reached, the last is run again: the provenance comes with
    the end. Raises ClaimLostError.
    """
    claims.lock(evaluation)
    scored = set(evaluation.scores.values_list("benchmark", flat=True))
    remaining = [slug for slug in benchmarks if slug not in scored]
    if not remaining:
        remaining = [benchmarks[-1]]
        for score in evaluation.scores.filter(benchmark__in=remaining):
            score.items.delete(save=False)
            score.delete()
    return remaining


@transaction.atomic
def record_score(evaluation: Evaluation, scored: Scored, *, items: File) -> Score:
    """Store a benchmark's score and its items.

    Raises ClaimLostError, and DataError where the score calls other rows official than the site's register
    does; then it stores nothing.
    """
    data_register.check(scored, claims.lock(evaluation).worker)
    stored = Score(evaluation=evaluation, **{name: getattr(scored, name) for name in _MEASURED})
    stored.items.save(f"evaluations/{evaluation.pk}/{scored.benchmark}.jsonl", items, save=False)
    stored.save(force_insert=True)
    return stored


@transaction.atomic
def succeed(evaluation: Evaluation, *, provenance: dict[str, Any]) -> None:
    """Finish an evaluation whose scores are all recorded; the submission goes to review.

    If it is published, the new scores take the place of the old on its board.

    The reason of an earlier failed attempt moves into the provenance.
    """
    current = claims.lock(evaluation)
    wanted = set(rules.of(current.submission.challenge, current.protocol).benchmarks)
    if missing := wanted - set(current.scores.values_list("benchmark", flat=True)):
        raise ValueError(f"{current} cannot succeed without scores on {', '.join(sorted(missing))}")
    if current.error_code:
        provenance |= {"earlier_failure": {"code": current.error_code, "message": current.error_message}}
    claims.finish(
        current, Evaluation.Status.SUCCEEDED, provenance=provenance, error_code="", error_message=""
    )
    _set_submission_status(evaluation.submission, Submission.Status.IN_REVIEW)
    reproductions.compare_evaluated(evaluation.submission)
    if evaluation.submission.published_at:
        wake_board_builders()


@transaction.atomic
def fail_attempt(evaluation: Evaluation, *, code: str, message: str, retryable: bool) -> Evaluation.Status:
    """End a broken attempt: back to the queue if a retry may help, else failed with the stored reason."""
    status = claims.end_attempt(evaluation, code=code, message=message, retryable=retryable)
    if status == Evaluation.Status.QUEUED:
        _queue_again(evaluation.submission)
    else:
        _set_submission_status(evaluation.submission, Submission.Status.FAILED)
    return status


@transaction.atomic
def give_back(evaluation: Evaluation) -> None:
    """Return an evaluation to the queue because its worker is shutting down. Not a failed attempt."""
    claims.requeue(evaluation)
    _queue_again(evaluation.submission)


def release_expired() -> int:
    """Return evaluations whose worker is gone to the queue, or fail them after too many losses."""
    return claims.release_expired(Evaluation.objects.all(), fail_attempt)


def lock_active(submission: Submission) -> None:
    """Lock what is queued or running for `submission`, for the rest of the transaction."""
    list(Evaluation.objects.select_for_update().filter(submission=submission, status__in=Evaluation.ACTIVE))


def cancel_active(submission: Submission) -> None:
    """Cancel what is queued or running for `submission`; a running worker notices at its next write."""
    claims.cancel(Evaluation.objects.filter(submission=submission))


def work_is_waiting() -> bool:
    return Evaluation.objects.filter(status=Evaluation.Status.QUEUED).exists()


def _queue_again(submission: Submission) -> None:
    _set_submission_status(submission, Submission.Status.QUEUED)
    wake_evaluators()


def is_active(submission: Submission) -> bool:
    """Whether an evaluation of `submission` is queued or running."""
    return Evaluation.objects.filter(submission=submission, status__in=Evaluation.ACTIVE).exists()


def _set_submission_status(submission: Submission, status: Submission.Status) -> None:
    """Follow the evaluation with the submission's status, unless the submission is public already."""
    public = Q(status__in=Submission.PUBLIC)
    changed = Submission.objects.filter(Q(pk=submission.pk), ~Q(status=status), ~public).update(
        status=status, status_changed_at=timezone.now()
    )
    if changed:
        submission_changed(submission)
