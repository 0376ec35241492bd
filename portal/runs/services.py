"""The life of an evaluation: enqueue, claim, record, finish. Workers write only under their claim."""

from __future__ import annotations

import logging
from collections.abc import Collection, Sequence
from dataclasses import dataclass, fields
from functools import partial
from typing import Any

from django.conf import settings
from django.core.files.base import File
from django.db import DatabaseError, transaction
from django.db.models import Q, QuerySet
from django.utils import timezone

from evaluation import rules
from evaluation.benchmarks import BENCHMARKS
from evaluation.errors import Fault
from evaluation.log_lines import about
from evaluation.rules import protocol as protocols
from evaluation.rules.protocol import PROTOCOLS
from evaluation.wire.evaluating import Scored
from portal import tracing
from portal.control.models import Queue
from portal.notifications.models import Event
from portal.notifications.services import submission_changed
from portal.outages import waiting
from portal.outages.causes import Failure
from portal.queues import wake_board_builders, wake_evaluators
from portal.runs import claims, data_register, fairness, leakage, logs, reproductions, transfer
from portal.runs.items import clear_left_items, name_of_items
from portal.runs.logs import Level, Line
from portal.runs.models import Evaluation, Score
from portal.submissions.models import Submission

logger = logging.getLogger(__name__)

_OF_AUDITS = 1
_MEASURED = [field.name for field in fields(Scored) if field.name not in ("job", "items")]


@dataclass(frozen=True)
class LeftToOthers:
    """Evaluations that a worker cannot run: a challenge's under a protocol, on base models of more than
    `parameters`, or on all. `waits_for` says what they need, as in "waiting for …"."""

    challenge: str
    protocol: int
    waits_for: str
    parameters: int | None = None

    @property
    def condition(self) -> Q:
        # Of what is asked beside the board, the home challenge says the precision, the domain the judging.
        named = Q(submission__challenge=self.challenge) | Q(domain=self.challenge)
        found = named & Q(protocol=self.protocol)
        return found if self.parameters is None else found & Q(base_model__parameters__gt=self.parameters)


@transaction.atomic
def enqueue(
    submission: Submission, protocol: int, *, priority: int = 0, smoke_run: bool = False
) -> Evaluation:
    """Queue an evaluation of `submission` under a protocol, in full or as a smoke run, and wake the workers.

    A published one stays published; the scores that it has count until new ones under the same protocol are
    complete, and those under other protocols go on. Raises UnknownNameError where there is no such protocol.
    """
    evaluation = Evaluation.objects.create(
        submission=submission,
        base_model=submission.base_model,
        checkpoint=submission.checkpoint,
        protocol=protocols.get(protocol).number,
        priority=priority,
        smoke_run=smoke_run,
    )
    what = "A smoke run" if smoke_run else "An evaluation in full"
    logs.add(evaluation, Line(f"{what} under protocol {protocol} is queued."))
    _follow(submission)
    transaction.on_commit(partial(_say_queued, evaluation))
    wake_evaluators()
    return evaluation


@transaction.atomic
def enqueue_all(submission: Submission, *, priority: int = 0) -> list[Evaluation]:
    """Queue one under each of the site's protocols, in their order, where none is queued or running yet."""
    counting = _active(submission).filter(for_audit=False, purpose=Evaluation.Purpose.BOARD)
    active = set(counting.values_list("protocol", flat=True))
    return [
        enqueue(submission, number, priority=priority)
        for number in settings.LEADERBOARD_PROTOCOLS
        if number not in active
    ]


@transaction.atomic
def enqueue_audit(original: Evaluation, *, not_on: str) -> Evaluation:
    """Queue another evaluation like `original` that counts on no board, for any machine but `not_on`.

    It is the site's wish: it takes nobody's turn.
    """
    evaluation = Evaluation.objects.create(
        submission=original.submission,
        base_model=original.base_model,
        checkpoint=original.checkpoint,
        protocol=original.protocol,
        priority=_OF_AUDITS,
        for_audit=True,
        not_on=not_on,
    )
    wake_evaluators()
    return evaluation


@transaction.atomic
def enqueue_again(ended: Evaluation) -> Evaluation:
    """Queue another of what failed or was cancelled, for the board or beside it, and wake the workers."""
    if ended.purpose == Evaluation.Purpose.BOARD:
        return enqueue(ended.submission, ended.protocol, priority=ended.priority, smoke_run=ended.smoke_run)
    evaluation = Evaluation.objects.create(
        submission=ended.submission,
        base_model=ended.base_model,
        checkpoint=ended.checkpoint,
        protocol=ended.protocol,
        purpose=ended.purpose,
        domain=ended.domain,
        priority=ended.priority,
    )
    logs.add(evaluation, Line(f"{evaluation.title} under protocol {ended.protocol} is queued again."))
    wake_evaluators()
    return evaluation


def usual_priority(evaluation: Evaluation) -> int:
    """What it has where nobody wished another."""
    if evaluation.for_audit:
        return _OF_AUDITS
    return 0 if evaluation.purpose == Evaluation.Purpose.BOARD else transfer.PRIORITY


@transaction.atomic
def enqueue_missing(submission: Submission) -> None:
    """Queue what the present adapter was not evaluated under; where nothing lacks, it goes to review at once.

    A submission that was changed and sent again keeps the scores of an adapter that is still its own. Where
    there are none, a smoke run comes first if its team wishes one.
    """
    succeeded = of_present_adapter(submission).filter(status=Evaluation.Status.SUCCEEDED)
    done = set(succeeded.values_list("protocol", flat=True))
    if submission.smoke_run and not done:
        enqueue(submission, settings.LEADERBOARD_PROTOCOLS[0], smoke_run=True)
        return
    for number in settings.LEADERBOARD_PROTOCOLS:
        if number not in done:
            enqueue(submission, number)
    _follow(submission)


@transaction.atomic
def claim(
    *, worker: str, loaded_base_model: int | None = None, without: Collection[LeftToOthers] = ()
) -> Evaluation | None:
    """Take the next queued evaluation for `worker`, or return None when none waits.

    Whose turn it is, the rule of portal.runs.fairness says. Left to others are those of protocols that this
    version does not know, and those `without`. None is taken while operators hold the worker or its queue, or
    where its code and the database are not made for each other (portal.control.gate).
    """
    if not claims.may_begin(worker, Queue.EVALUATE):
        return None
    candidates = Evaluation.objects.filter(
        waiting.is_due(claims.machine_of(worker)),
        *(~left.condition for left in without),
        Q(not_on="") | ~Q(not_on=claims.machine_of(worker)),
        protocol__in=list(PROTOCOLS),
    )
    chosen, round_began = fairness.next_for(candidates, loaded_base_model=loaded_base_model)
    claim_id = claims.take(chosen, worker=worker, round_began_at=round_began)
    if claim_id is None:  # nothing waits, or others were faster with all that was chosen
        claim_id = claims.take(candidates.order_by("-priority", "queued_at", "pk"), worker=worker)
    if claim_id is None:
        return None
    evaluation = Evaluation.objects.select_related("submission", "base_model", "checkpoint").get(
        claim_id=claim_id
    )
    tried = f" (attempt {evaluation.attempts + 1})" if evaluation.attempts else ""
    logs.add(evaluation, Line(f"{logs.public_name(worker).capitalize()} begins{tried}."))
    _follow(evaluation.submission)
    return evaluation


def say_what_waits(without: Collection[LeftToOthers]) -> None:
    """Note on what a worker left to others what it waits for, where submitter and operator read it."""
    for left in without:
        queued = Evaluation.objects.filter(left.condition, status=Evaluation.Status.QUEUED)
        queued.exclude(waits_for=left.waits_for).update(waits_for=left.waits_for)


def benchmarks_of(evaluation: Evaluation) -> tuple[str, ...]:
    """Those that it asks, in the protocol's order."""
    if evaluation.purpose == Evaluation.Purpose.LEAKAGE:
        return ()
    return rules.of(evaluation.challenge, evaluation.protocol).benchmarks


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
    measured = {name: getattr(scored, name) for name in _MEASURED}
    stored = Score(evaluation=evaluation, items_bytes=items.size, **measured)
    if not evaluation.scores.filter(benchmark=scored.benchmark).exists():
        clear_left_items(evaluation, scored.benchmark)  # of a worker that was lost before its row was there
    stored.items.save(name_of_items(evaluation, scored.benchmark), items, save=False)
    try:
        stored.save(force_insert=True)
        logs.add(evaluation, Line(_in_words(stored)))
        claims.went_well(evaluation)
    except DatabaseError:
        stored.items.delete(save=False)
        raise
    return stored


@transaction.atomic
def succeed(evaluation: Evaluation, *, provenance: dict[str, Any]) -> None:
    """Finish an evaluation whose scores are all recorded; the submission goes to review, if it is not there.

    After a smoke run it waits for its team instead. What was measured beside the board changes nothing of it.

    If it is published, the scores go onto the protocol's board, in place of earlier ones.

    The reason of an earlier failed attempt moves into the provenance.
    """
    current = claims.lock(evaluation)
    wanted = set(benchmarks_of(current))
    if missing := wanted - set(current.scores.values_list("benchmark", flat=True)):
        raise ValueError(f"{current} cannot succeed without scores on {', '.join(sorted(missing))}")
    if current.error_code:
        provenance |= {"earlier_failure": {"code": current.error_code, "message": current.error_message}}
    claims.finish(current, _end_of(current), provenance=provenance, error_code="", error_message="")
    logs.add(current, Line("All benchmarks are scored." if wanted else "It is measured."))
    _follow(evaluation.submission)
    if current.smoke_run:
        return
    if current.purpose == Evaluation.Purpose.BOARD:
        reproductions.compare_evaluated(evaluation.submission)
        transfer.ask_where_the_site_wants(current)
        leakage.ask_where_the_site_wants(current)
    if evaluation.submission.published_at:
        wake_board_builders()


@transaction.atomic
def fail_attempt(evaluation: Evaluation, failure: Failure) -> Evaluation.Status:
    """End a broken attempt: back to the queue if a retry may help, else failed with the stored reason."""
    status = claims.end_attempt(evaluation, failure)
    logs.add(evaluation, _failed(failure, status))
    _follow(evaluation.submission)
    if status == Evaluation.Status.QUEUED:
        wake_evaluators()
    return status


@transaction.atomic
def give_back(evaluation: Evaluation, why: str = "the worker is being stopped") -> None:
    """Return an evaluation to the queue because its worker is shutting down. Not a failed attempt."""
    claims.requeue(evaluation)
    logs.add(evaluation, Line(f"Back to the queue: {why}."))
    _follow(evaluation.submission)
    wake_evaluators()


def release_expired() -> int:
    """Return evaluations whose worker is gone to the queue, or fail them after too many losses."""
    return claims.release_expired(Evaluation.objects.all(), fail_attempt)


def lock_active(submission: Submission) -> None:
    """Lock what is queued or running for `submission`, for the rest of the transaction."""
    list(_active(submission).select_for_update().order_by("pk"))


def cancel_active(submission: Submission) -> None:
    """Cancel what is queued or running for `submission`; a running worker notices at its next write."""
    active = list(_active(submission).select_for_update().order_by("pk"))
    claims.cancel(_active(submission))
    for evaluation in active:
        logs.add(evaluation, Line("Cancelled.", Level.WARNING))
    transfer.pass_on(active)


def work_is_waiting() -> bool:
    return Evaluation.objects.filter(status=Evaluation.Status.QUEUED).exists()


def newest(submission: Submission) -> QuerySet[Evaluation]:
    """The last evaluation of the present adapter under each protocol, whatever became of it."""
    return of_present_adapter(submission).order_by("protocol", "-pk").distinct("protocol")


def of_present_adapter(submission: Submission) -> QuerySet[Evaluation]:
    """For the board: without audits, and without those of an adapter that it had before reviewers asked for
    changes."""
    own = Evaluation.objects.filter(submission=submission, checkpoint=submission.checkpoint_id)
    return own.filter(for_audit=False, purpose=Evaluation.Purpose.BOARD)


def _end_of(evaluation: Evaluation) -> Evaluation.Status:
    if evaluation.smoke_run:
        return Evaluation.Status.TRIED
    is_for_the_board = evaluation.purpose == Evaluation.Purpose.BOARD
    return Evaluation.Status.SUCCEEDED if is_for_the_board else Evaluation.Status.MEASURED


def _say_queued(evaluation: Evaluation) -> None:
    """In the operators' log, with the request and what came of it, and in the trace, which it may begin."""
    if tracing.is_on():
        earlier = Evaluation.objects.filter(submission=evaluation.submission_id, pk__lt=evaluation.pk)
        tracing.concerns(evaluation.submission_id, first=not earlier.exists())
    with about(**evaluation.log_ids):
        logger.info("%s is queued", evaluation)


def _in_words(score: Score) -> str:
    unscored = f", {score.unscored} unscored" if score.unscored else ""
    title = BENCHMARKS[score.benchmark].title
    return f"{title}: {score.correct} of {score.n - score.unscored} right{unscored}, in {score.seconds:.0f} s"


def _failed(failure: Failure, status: Evaluation.Status) -> Line:
    if status == Evaluation.Status.FAILED:
        return Line(f"Failed: {failure.message}", Level.ERROR)
    if failure.fault is Fault.OUTAGE:
        return Line(f"Waits for {failure.cause.words}: {failure.message}", Level.WARNING)
    return Line(f"Broke off and is tried again: {failure.message}", Level.WARNING)


def _active(submission: Submission) -> QuerySet[Evaluation]:
    return Evaluation.objects.filter(submission=submission, status__in=Evaluation.ACTIVE)


# What the evaluations make of a submission: the first of these states that one of the newest is in. One that
# is complete is enough for a review; others go on meanwhile.
_FOLLOWS = (
    (Evaluation.Status.SUCCEEDED, Submission.Status.IN_REVIEW),
    (Evaluation.Status.RUNNING, Submission.Status.EVALUATING),
    (Evaluation.Status.QUEUED, Submission.Status.QUEUED),
    (Evaluation.Status.FAILED, Submission.Status.FAILED),
    (Evaluation.Status.TRIED, Submission.Status.TRIED),
)
_DECIDED = (*Submission.PUBLIC, Submission.Status.REJECTED, Submission.Status.WITHDRAWN)


def _follow(submission: Submission) -> None:
    """Follow the evaluations with the submission's status, unless somebody decided on it already."""
    # Locked, so that of two evaluations that end at once the later one sees how the other ended.
    current = Submission.objects.select_for_update().get(pk=submission.pk)
    found = set(newest(current).values_list("status", flat=True))
    status = next((becomes for state, becomes in _FOLLOWS if state in found), current.status)
    if status == current.status or current.status in _DECIDED:
        return
    Submission.objects.filter(pk=current.pk).update(status=status, status_changed_at=timezone.now())
    if current.status == Submission.Status.RECEIVED and status == Submission.Status.IN_REVIEW:
        submission_changed(current, event=Event.REOPENED, because="its team changed and sent it again")
    else:
        submission_changed(current)
