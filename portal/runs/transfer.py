"""Measuring adapters on the other domains, against their base models: what is missing, and its queueing.

An adapter is measured in the precision that it was evaluated in at home, so that its base model is loaded
once for all domains, and so that nothing but the adapter differs from the base model's own results. Those
are taken from the boards where an untuned entry has them, else measured once and reused by every adapter on
that base model, whoever asked first.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import F, Q, QuerySet

from evaluation import rules
from evaluation.rules.challenges import CHALLENGES
from evaluation.rules.protocol import PROTOCOLS
from portal.queues import wake_evaluators
from portal.runs import logs
from portal.runs.logs import Line
from portal.runs.models import Evaluation
from portal.submissions.invented import ACCOUNT
from portal.submissions.models import BaseModel, Submission

Purpose, Status = Evaluation.Purpose, Evaluation.Status

PRIORITY = -1
"""Behind all that is for a board."""

MEASURABLE = (Submission.Status.IN_REVIEW, Submission.Status.PUBLISHED)


class TransferRefused(Exception):
    """It can't be asked for; the text says why, to the team."""


@dataclass(frozen=True)
class State:
    """How far the measuring of an adapter is, in evaluations; `missing` are neither measured nor under way.

    Those of the base model are counted in, whoever asked for them.
    """

    measured: int
    under_way: int
    missing: int

    @property
    def total(self) -> int:
        return self.measured + self.under_way + self.missing


@dataclass(frozen=True)
class _Wanted:
    """One evaluation that a matrix needs."""

    protocol: int
    purpose: str
    domain: str


@transaction.atomic
def ask(submission: Submission) -> list[Evaluation]:
    """Queue what is missing of an adapter's matrix, under each protocol that it was evaluated under.

    Raises TransferRefused where there is nothing to measure, or nothing missing.
    """
    current = Submission.objects.select_for_update(of=("self",)).get(pk=submission.pk)
    if current.checkpoint_id is None:
        raise TransferRefused("There is no adapter: the other boards have the base model as it is.")
    if current.status not in MEASURABLE:
        raise TransferRefused(
            f"It is {current.get_status_display()}. Only what is in review or published is measured on "
            "other domains."
        )
    homes = list(_homes(current))
    if not homes:
        raise TransferRefused("It is measured on other domains once it is evaluated on its own.")
    # Two entries on one base model that ask at once must not both queue its own evaluations.
    BaseModel.objects.select_for_update(no_key=True).get(pk=current.base_model_id)
    missing = [(home, wanted) for home in homes for wanted in _missing(home)]
    if not missing:
        raise TransferRefused("It is measured on every domain, or that is under way.")
    queued = [_queue(current, wanted) for home, wanted in missing if precision_of(home) == _asked_in(home)]
    if not queued:
        home = missing[0][0]
        raise TransferRefused(
            f"It was evaluated in {precision_of(home)}, and this site now evaluates in {_asked_in(home)}. "
            "Results of the two do not compare: it has to be evaluated again first."
        )
    wake_evaluators()
    return queued


def ask_where_the_site_wants(home: Evaluation) -> None:
    """Queue the other domains of what was evaluated on its own, if the operator wants it of all adapters."""
    if settings.MEASURE_TRANSFER and home.checkpoint_id is not None:
        with suppress(TransferRefused):
            ask(home.submission)


def pass_on(cancelled: Iterable[Evaluation]) -> None:
    """Queue anew, for other entries that wait for it, what of a base model was cancelled with an entry.

    Once the transaction is through: another entry's lock is not to be waited for under this one's.
    """
    of_base = {(one.base_model_id, one.submission_id) for one in cancelled if one.purpose == Purpose.BASE}
    for base_model, submission in of_base:
        transaction.on_commit(partial(_ask_for_others, base_model, submission))


def state_of(submission: Submission) -> State | None:
    """None where nothing can be measured, or not yet."""
    if submission.checkpoint_id is None or submission.status not in MEASURABLE:
        return None
    measured = under_way = missing = 0
    for home in _homes(submission):
        wanted, done, active = set(_wanted(home)), _done(home), _active(home)
        measured += len(wanted & done)
        under_way += len((wanted - done) & active)
        missing += len(wanted - done - active)
    return State(measured, under_way, missing) if measured + under_way + missing else None


def of_base_models(base_models: Iterable[int] | QuerySet[Any, Any]) -> QuerySet[Evaluation]:
    """The finished evaluations of base models as they are: for a board, or for transfer.

    Only of published entries: what somebody's private one scored stays private.
    """
    on_boards = Q(
        purpose=Purpose.BOARD,
        status=Status.SUCCEEDED,
        for_audit=False,
        submission__status=Submission.Status.PUBLISHED,
    )
    return Evaluation.objects.filter(
        on_boards | Q(purpose=Purpose.BASE, status=Status.MEASURED),
        checkpoint=None,
        base_model__in=base_models,
    )


def of_adapters(submissions: Iterable[int] | QuerySet[Any, Any]) -> QuerySet[Evaluation]:
    """The finished evaluations of the present adapters of submissions on other domains."""
    return Evaluation.objects.filter(
        submission__in=submissions,
        purpose=Purpose.TRANSFER,
        status=Status.MEASURED,
        checkpoint=F("submission__checkpoint"),
    )


def precision_of(evaluation: Evaluation) -> str:
    """What it was computed in; before it is finished, what it will be asked for."""
    if evaluation.finished_at is not None:
        return str(evaluation.provenance.get("precision") or "")
    return _asked_in(evaluation)


def _asked_in(evaluation: Evaluation) -> str:
    """The precision that this site computes in now, for an entry of that challenge."""
    home = rules.of(evaluation.submission.challenge, evaluation.protocol)
    return settings.EVALUATION_PRECISION or home.precision


def _ask_for_others(base_model: int, cancelled: int) -> None:
    """One entry of each challenge stands for all of it, which share their precision."""
    waiting = Submission.objects.filter(
        base_model=base_model,
        status__in=MEASURABLE,
        evaluations__purpose=Purpose.TRANSFER,
        evaluations__status__in=[*Evaluation.ACTIVE, Status.MEASURED],
    ).exclude(pk=cancelled)
    for submission in waiting.order_by("challenge", "pk").distinct("challenge"):
        with suppress(TransferRefused):
            ask(submission)


def _homes(submission: Submission) -> Iterator[Evaluation]:
    """The last evaluation of the present adapter for each board."""
    return (
        Evaluation.objects.filter(
            submission=submission,
            checkpoint=submission.checkpoint_id,
            status=Status.SUCCEEDED,
            for_audit=False,
            protocol__in=list(PROTOCOLS),
        )
        .select_related("submission")
        .order_by("protocol", "-finished_at", "-pk")
        .distinct("protocol")
        .iterator()
    )


def _missing(home: Evaluation) -> list[_Wanted]:
    there = _done(home) | _active(home)
    return [wanted for wanted in _wanted(home) if wanted not in there]


def _wanted(home: Evaluation) -> Iterator[_Wanted]:
    for domain in CHALLENGES:
        if domain != home.submission.challenge:
            yield _Wanted(home.protocol, Purpose.TRANSFER, domain)
    for domain in CHALLENGES:
        yield _Wanted(home.protocol, Purpose.BASE, domain)


def _done(home: Evaluation) -> set[_Wanted]:
    own = of_adapters([home.submission_id]).filter(protocol=home.protocol)
    base = of_base_models([home.base_model_id]).filter(protocol=home.protocol)
    base = base.exclude(submission__submitter__username=ACCOUNT)  # invented, by `manage.py seed`
    return _alike(home, own, Purpose.TRANSFER) | _alike(home, base, Purpose.BASE)


def _active(home: Evaluation) -> set[_Wanted]:
    """Under way: what the submission itself has in any precision, as there is one of each at a time."""
    active = Evaluation.objects.filter(status__in=Evaluation.ACTIVE, protocol=home.protocol)
    own = active.filter(submission=home.submission_id, purpose__in=[Purpose.TRANSFER, Purpose.BASE])
    base = active.filter(base_model=home.base_model_id, purpose=Purpose.BASE)
    of_its_own = {
        _Wanted(one.protocol, one.purpose, one.challenge) for one in own.select_related("submission")
    }
    return of_its_own | _alike(home, base, Purpose.BASE)


def _alike(home: Evaluation, found: QuerySet[Evaluation], purpose: str) -> set[_Wanted]:
    """What of the matrix they are, where they are of the precision of the evaluation at home."""
    precision = precision_of(home)
    return {
        _Wanted(one.protocol, purpose, one.challenge)
        for one in found.select_related("submission")
        if precision_of(one) == precision
    }


def _queue(submission: Submission, wanted: _Wanted) -> Evaluation:
    of_the_adapter = wanted.purpose == Purpose.TRANSFER
    evaluation = Evaluation.objects.create(
        submission=submission,
        base_model=submission.base_model,
        checkpoint=submission.checkpoint if of_the_adapter else None,
        protocol=wanted.protocol,
        purpose=wanted.purpose,
        domain=wanted.domain,
        priority=PRIORITY,
    )
    logs.add(evaluation, Line(f"{evaluation.title} under protocol {wanted.protocol} is queued."))
    return evaluation
