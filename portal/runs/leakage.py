"""Measuring what adapters give away of their training rows: where that can be known, and its queueing."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import asdict, dataclass

from django.conf import settings
from django.db import transaction
from django.db.models import F, Max, QuerySet

from evaluation import rules
from evaluation.leakage.sources import FEWEST, NONE_KNOWN
from evaluation.wire.leakage import LeakageMeasured
from portal.queues import wake_evaluators
from portal.runs import claims, logs
from portal.runs.logs import Line
from portal.runs.models import BaselineRun, Evaluation, Leakage, RoundMetric
from portal.runs.transfer import MEASURABLE, PRIORITY
from portal.submissions.models import Submission
from portal.submissions.training_data import TRAINING_SET_ALONE

Purpose, Status = Evaluation.Purpose, Evaluation.Status


class LeakageRefused(Exception):
    """It can't be asked for; the text says why, to the team."""


@dataclass(frozen=True)
class State:
    """How far the measuring of an adapter is; `why_not` says why there is none, in a sentence."""

    is_measured: bool
    is_under_way: bool
    why_not: str


def state_of(submission: Submission) -> State | None:
    """None where there is nothing to measure yet."""
    if submission.checkpoint_id is None or submission.status not in MEASURABLE:
        return None
    return State(result_of(submission) is not None, under_way(submission), why_not(submission))


def why_not(submission: Submission) -> str:
    """Why leakage cannot be measured, in a sentence; "" where it can."""
    if submission.checkpoint_id is None:
        return "There is no adapter that could give anything away."
    if submission.status not in MEASURABLE:
        return f"It is {submission.get_status_display()}. Only what is in review or published is measured."
    run = run_of(submission)
    if run is not None:
        if (run.config.get("held_out") or 0) < FEWEST:
            return f"Its training held fewer than {FEWEST} rows out, so there is nothing to compare with."
        return ""
    if submission.challenge in NONE_KNOWN:
        return NONE_KNOWN[submission.challenge]
    if settings.EVALUATION_DATA == "demonstration":
        return "With demonstration data there are no rows of the training set's sources."
    if submission.training_data != TRAINING_SET_ALONE:
        return "Its team states other training data than the challenge's training set alone."
    return ""


@transaction.atomic
def ask(submission: Submission) -> Evaluation:
    """Queue a measuring of the present adapter. Raises LeakageRefused."""
    current = Submission.objects.select_for_update(of=("self",)).get(pk=submission.pk)
    if reason := why_not(current):
        raise LeakageRefused(reason)
    if under_way(current) or result_of(current):
        raise LeakageRefused("It is measured, or that is under way.")
    evaluation = Evaluation.objects.create(
        submission=current,
        base_model=current.base_model,
        checkpoint=current.checkpoint,
        protocol=settings.LEADERBOARD_PROTOCOLS[0],
        purpose=Purpose.LEAKAGE,
        priority=PRIORITY,
    )
    logs.add(evaluation, Line("A measuring of leakage is queued."))
    wake_evaluators()
    return evaluation


def ask_where_the_site_wants(home: Evaluation) -> None:
    """Queue it for what was evaluated for a board, if the operator wants it of all adapters."""
    if settings.MEASURE_LEAKAGE:
        with suppress(LeakageRefused):
            ask(home.submission)


def record(evaluation: Evaluation, measured: LeakageMeasured) -> Leakage:
    """Store what was found. Raises ClaimLostError."""
    with transaction.atomic():
        claims.lock(evaluation)
        run = run_of(evaluation.submission)
        ratio = next(one for one in measured.memberships if one.signal == "loss_ratio")
        low, high = ratio.auc_interval or (None, None)
        rate_low, rate_high = ratio.true_positives_interval or (None, None)
        Leakage.objects.filter(evaluation=evaluation).delete()  # of an attempt that did not reach its end
        stored = Leakage.objects.create(
            evaluation=evaluation,
            basis=Leakage.Basis.MEASURED if run else Leakage.Basis.DECLARED,
            members=measured.members,
            others=measured.others,
            auc=ratio.auc,
            auc_low=low,
            auc_high=high,
            true_positives=ratio.true_positives,
            true_positives_low=rate_low,
            true_positives_high=rate_high,
            memberships=[asdict(one) for one in measured.memberships],
            clients=[asdict(one) for one in measured.clients],
            exposures=[asdict(one) for one in measured.exposures],
            epsilon=_epsilon(run) if run else None,
            seconds=measured.seconds,
        )
        logs.add(evaluation, Line(f"Leakage: an area of {stored.auc:.3f} under the curve."))
        return stored


def results_of(submissions: Iterable[int] | QuerySet[Submission, int]) -> QuerySet[Leakage]:
    """Of the present adapters of submissions, the newest last."""
    return Leakage.objects.filter(
        evaluation__submission__in=submissions,
        evaluation__status=Status.MEASURED,
        evaluation__checkpoint=F("evaluation__submission__checkpoint"),
    ).order_by("created_at", "pk")


def result_of(submission: Submission) -> Leakage | None:
    return results_of([submission.pk]).last()


def under_way(submission: Submission) -> bool:
    active = Evaluation.objects.filter(submission=submission, status__in=Evaluation.ACTIVE)
    return active.filter(purpose=Purpose.LEAKAGE).exists()


def run_of(submission: Submission) -> BaselineRun | None:
    """The training of this site that made the adapter, which knows who held which row."""
    return BaselineRun.objects.filter(submission=submission).first()


def rounds_of(run: BaselineRun) -> tuple[tuple[int, ...], ...]:
    """The clients whose replies were used, round by round."""
    rounds = RoundMetric.objects.filter(run=run).order_by("round").values_list("clients", flat=True)
    return tuple(map(tuple, rounds))


def precision_of(evaluation: Evaluation) -> str:
    """That of its board."""
    home = rules.of(evaluation.submission.challenge, evaluation.protocol)
    return settings.EVALUATION_PRECISION or home.precision


def _epsilon(run: BaselineRun) -> float | None:
    spent: float | None = RoundMetric.objects.filter(run=run).aggregate(Max("epsilon"))["epsilon__max"]
    return spent
