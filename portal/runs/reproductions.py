"""Whether retraining a submission gave the same: the paired comparison, its rule, and the mark made of it.

The rule: the averages of original and retrained checkpoint over the challenge's benchmarks are the same when
the 95% interval of their paired difference contains 0, or when they differ by no more than the seed alone
makes two runs differ: by the spread of the published runs of its method where it has SEEDED, else TOLERANCE.
That they are not speaks against the original only where every setting that matters is stated and equal; else
it cannot be judged, and the settings are named. The outcome is written down as soon as both are evaluated,
and is public once staff confirmed it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from statistics import fmean
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import Q, QuerySet
from django.utils import timezone

from evaluation import rules
from evaluation.method import agreement
from evaluation.method.card import MethodCard
from evaluation.rules.protocol import PROTOCOLS
from evaluation.statistics import (
    Discordance,
    PackedAnswers,
    differences,
    discordance,
    mcnemar_exact,
    mean_difference,
    paired_interval,
    randomisation_test,
)
from evaluation.statistics.seeds import apart_by_seed
from portal.accounts.models import User
from portal.queues import wake_board_builders
from portal.runs.models import BaselineRun, Evaluation, Reproduction, Score
from portal.submissions.models import Submission

TOLERANCE = 0.01
"""One percentage point, where nothing is known of how much a method's runs differ by their seed."""
SEEDED = 3
"""From so many runs on the spread that was measured is the tolerance."""


JUDGED = (Reproduction.Verdict.CONFIRMED, Reproduction.Verdict.SET_ASIDE)
"""What staff can say of a comparison."""


class VerdictRefused(Exception):
    """What staff asked for is not possible; the text says why."""


class IncomparableError(Exception):
    """The two evaluations can't be paired; the text says why, to staff."""


@dataclass(frozen=True)
class Mark:
    """What the site says of a submission that was retrained here; figures are fractions.

    `outcome` is "reproduced" or "not reproduced"; `difference` is the `retrained` submission's average less
    the original's, with its 95% interval `low` to `high`.
    """

    submission: int
    retrained: int
    outcome: str
    difference: float
    low: float
    high: float
    p_value: float
    decided_at: datetime


@dataclass(frozen=True)
class BenchmarkDifference:
    """One benchmark's part of a comparison; fractions, the retrained score less the original's."""

    benchmark: str
    items: int
    original: float
    retrained: float
    difference: float
    low: float
    high: float
    p_value: float


def mark_of(submission: Submission) -> Mark | None:
    """What retraining `submission` showed, as staff confirmed it last; None where nothing is confirmed."""
    return marks_of([submission.pk]).get(submission.pk)


def marks_of(submissions: Iterable[int] | QuerySet[Any], *, as_of: datetime | None = None) -> dict[int, Mark]:
    """The marks of many submissions by their ids, in one query; `as_of` leaves out what came after it."""
    confirmed = Reproduction.objects.filter(
        original__in=submissions if isinstance(submissions, QuerySet) else list(submissions),
        verdict=Reproduction.Verdict.CONFIRMED,
    ).exclude(outcome=Reproduction.Outcome.UNDECIDED)
    if as_of is not None:
        confirmed = confirmed.filter(judged_at__lte=as_of)
    return {
        found.original_id: Mark(
            submission=found.original_id,
            retrained=found.retrained_id,
            outcome=found.get_outcome_display(),
            difference=found.difference,
            low=found.low,
            high=found.high,
            p_value=found.p_value,
            decided_at=found.judged_at or found.decided_at,
        )
        for found in confirmed.order_by("judged_at", "pk")
    }


@transaction.atomic
def compare_evaluated(submission: Submission) -> list[Reproduction]:
    """Compare what can be compared now that `submission` is evaluated, be it the original or the retrained.

    A run is compared once. Pairs that are incomparable are left; `why_incomparable` tells staff of them.
    """
    waiting = BaselineRun.objects.filter(
        Q(submission=submission) | Q(original=submission),
        original__isnull=False,
        submission__isnull=False,
        reproduction=None,
    )
    made = []
    for run in waiting.select_related("original", "submission"):
        try:
            made.append(_compare(run))
        except IncomparableError:
            continue
    return made


def why_incomparable(run: BaselineRun) -> str:
    """Why a finished retraining has no comparison yet, in a sentence; "" when it could be made."""
    try:
        _pair(run)
    except IncomparableError as reason:
        return str(reason)
    return ""


@transaction.atomic
def judge(
    reproduction: Reproduction, *, judge: User, verdict: Reproduction.Verdict, reason: str = ""
) -> Reproduction:
    """Confirm a comparison, which makes its mark public, or set it aside. Raises VerdictRefused.

    The figures and the outcome stay as the rule gave them: staff decide whether they count. To confirm, the
    retrained entry has to be published, so that readers find it beside the original.
    """
    current = (
        Reproduction.objects.select_for_update(of=("self",))
        .select_related("retrained")
        .get(pk=reproduction.pk)
    )
    reason = reason.strip()
    if current.verdict == Reproduction.Verdict.WITHDRAWN:
        raise VerdictRefused("The verdict was withdrawn for good; retrain the submission for another one.")
    if verdict == current.verdict or verdict not in JUDGED:
        raise VerdictRefused(f"The comparison is {current.get_verdict_display()} already.")
    if verdict == Reproduction.Verdict.SET_ASIDE and not reason:
        raise VerdictRefused("To set a comparison aside, give a reason: it stays on record.")
    if verdict == Reproduction.Verdict.CONFIRMED and current.retrained.status not in Submission.PUBLIC:
        raise VerdictRefused("Publish the retrained entry first, so that readers find it.")
    current.verdict, current.reason = verdict, reason
    current.judged_by, current.judged_at = judge, timezone.now()
    current.save(update_fields=["verdict", "reason", "judged_by", "judged_at"])
    wake_board_builders()
    return current


@dataclass(frozen=True)
class Paired:
    """The average of one evaluation less that of another, over the same items; fractions."""

    difference: float
    interval: tuple[float, float]
    is_identical: bool


def paired(again: Evaluation, original: Evaluation, benchmarks: Sequence[str]) -> Paired:
    """Raises IncomparableError where the single answers are not there or the items are not the same."""
    pairs = [_discordance(again, original, slug) for slug in benchmarks]
    strata = [differences(pair) for pair in pairs]
    identical = all(pair.only_a == pair.only_b == 0 for pair in pairs)
    return Paired(mean_difference(strata), paired_interval(strata), identical)


def outcome_of(
    difference: float, low: float, high: float, unequal: Sequence[str] = (), tolerance: float = TOLERANCE
) -> Reproduction.Outcome:
    """The rule, as this module's docstring states it; `unequal` are settings not stated or not equal."""
    # Sums of the same differences differ in their last bits by the order of adding.
    if low <= 0 <= high or abs(difference) <= tolerance + 1e-12:
        return Reproduction.Outcome.REPRODUCED
    return Reproduction.Outcome.UNDECIDED if unequal else Reproduction.Outcome.NOT_REPRODUCED


def tolerance_of(original: Evaluation) -> float:
    """How far a retrained average may be from the original's: by the runs of its method, evaluated alike.

    Those that stand beside it on the board: runs that were sent to be withdrawn would widen it at will.
    """
    first = original.submission.repeats_id or original.submission_id
    counted = Q(pk=original.submission_id) | Q(status=Submission.Status.PUBLISHED)
    averages = [
        _average(newest)
        for submission in Submission.objects.filter(counted, Q(pk=first) | Q(repeats=first))
        if (newest := _newest(submission).get(original.protocol)) and _is_alike(newest, original)
    ]
    return apart_by_seed(averages) if len(averages) >= SEEDED else TOLERANCE


def _is_alike(one: Evaluation, other: Evaluation) -> bool:
    """Whether both were evaluated on the same data in the same precision."""
    return one.provenance.get("precision") == other.provenance.get("precision") and _data(one) == _data(other)


def _data(evaluation: Evaluation) -> dict[str, tuple[str, int]]:
    return {score.benchmark: (score.data_digest, score.n) for score in evaluation.scores.all()}


def _average(evaluation: Evaluation) -> float:
    return fmean(score.correct / score.n for score in evaluation.scores.all())


def _compare(run: BaselineRun) -> Reproduction:
    original, retrained = _pair(run)
    benchmarks = rules.of(run.challenge, original.protocol).benchmarks
    pairs = {slug: _discordance(retrained, original, slug) for slug in benchmarks}
    strata = [differences(pair) for pair in pairs.values()]
    difference, (low, high) = mean_difference(strata), paired_interval(strata)
    unequal = _unequal(run, original.submission, retrained.submission)
    tolerance = tolerance_of(original)
    return Reproduction.objects.create(
        run=run,
        original=original.submission,
        retrained=retrained.submission,
        original_evaluation=original,
        retrained_evaluation=retrained,
        outcome=outcome_of(difference, low, high, unequal, tolerance),
        unequal=list(unequal),
        difference=difference,
        low=low,
        high=high,
        p_value=randomisation_test(strata),
        tolerance=tolerance,
        benchmarks=[asdict(_figures(slug, pair)) for slug, pair in pairs.items()],
    )


def _unequal(run: BaselineRun, original: Submission, retrained: Submission) -> tuple[str, ...]:
    cards = [_card(submission) for submission in (original, retrained)]
    found = agreement.unequal(cards[0], cards[1], original.challenge)
    if original.checkpoint and retrained.checkpoint:
        adapters = original.checkpoint.adapter_config, retrained.checkpoint.adapter_config
        found += agreement.unequal_adapters(*adapters)
    there = _shares(BaselineRun.objects.filter(submission=original).first())
    here = _shares(run)
    return found if there == here else (*found, f"Shares of the rows: {there} in the original, {here} here.")


def _shares(run: BaselineRun | None) -> str:
    """How the rows were shared, which no card says: by the challenges' rules in equal parts."""
    settings: Mapping[str, Any] = run.config if run else {}
    partition, held_out = settings.get("partition") or {}, settings.get("held_out") or 0
    chosen = [f"{name} {value}" for name in ("alpha", "column") if (value := partition.get(name)) is not None]
    kept = [f"{held_out} held out"] if held_out else []
    return ", ".join([partition.get("kind") or "iid", *chosen, *kept])


def _card(submission: Submission) -> MethodCard:
    """What a submission says of its method, of the adapter's shape the adapter itself."""
    card = MethodCard.from_json(submission.method_card) if submission.method_card else MethodCard()
    checkpoint = submission.checkpoint
    return agreement.with_adapter(card, checkpoint.adapter_config) if checkpoint else card


def _figures(benchmark: str, pair: Discordance) -> BenchmarkDifference:
    low, high = paired_interval([differences(pair)])
    return BenchmarkDifference(
        benchmark=benchmark,
        items=pair.items,
        original=pair.right_b / pair.items,
        retrained=pair.right_a / pair.items,
        difference=pair.difference,
        low=low,
        high=high,
        p_value=mcnemar_exact(pair.only_a, pair.only_b),
    )


def _pair(run: BaselineRun) -> tuple[Evaluation, Evaluation]:
    """The newest evaluations of original and retrained under the same protocol, best the site's.

    Raises IncomparableError.
    """
    assert run.original
    if "template" not in run.config:
        raise IncomparableError(
            "The run is from before there was a choice of templates and wrote its rows in FinGPT's form, "
            "which the public apps do not do. Retrain the submission again."
        )
    originals = _newest(run.original)
    retraineds = _newest(run.submission) if run.submission else {}
    if not originals:
        raise IncomparableError("The original has not been evaluated yet.")
    if not retraineds:
        raise IncomparableError("The retrained checkpoint has not been evaluated yet.")
    common = sorted(originals.keys() & retraineds.keys())
    if not common:
        raise IncomparableError(
            f"The original was evaluated under protocol {_named(originals)}, the retrained checkpoint under "
            f"protocol {_named(retraineds)}. Evaluate the original again."
        )
    chosen = settings.LEADERBOARD_PROTOCOLS[0] if settings.LEADERBOARD_PROTOCOLS[0] in common else common[-1]
    original, retrained = originals[chosen], retraineds[chosen]
    if original.provenance.get("precision") != retrained.provenance.get("precision"):
        raise IncomparableError("The two were evaluated in different precisions.")
    for slug in rules.of(run.challenge, original.protocol).benchmarks:
        _discordance(retrained, original, slug)
    return original, retrained


def _newest(submission: Submission) -> dict[int, Evaluation]:
    """By protocol."""
    finished = (
        submission.evaluations.filter(
            status=Evaluation.Status.SUCCEEDED,
            protocol__in=list(PROTOCOLS),
            checkpoint=submission.checkpoint_id,
            for_audit=False,
        )
        .select_related("submission__checkpoint")
        .prefetch_related("scores")
        .order_by("pk")
    )
    return {evaluation.protocol: evaluation for evaluation in finished}


def _named(evaluations: Mapping[int, Evaluation]) -> str:
    return " and ".join(map(str, sorted(evaluations)))


def _discordance(retrained: Evaluation, original: Evaluation, benchmark: str) -> Discordance:
    """How the items fell, the retrained run being `a`. Raises IncomparableError."""
    a, b = _score(retrained, benchmark), _score(original, benchmark)
    if (a.data_digest, a.n) != (b.data_digest, b.n):
        raise IncomparableError(f"The two were evaluated on different data of {a.title}.")
    try:
        pair = discordance(_answers(a), _answers(b))
    except ValueError as error:
        raise IncomparableError(f"The single answers to {a.title} are not there: {error}.") from error
    if not pair.items:
        raise IncomparableError(f"No item of {a.title} is scored in both.")
    return pair


def _score(evaluation: Evaluation, benchmark: str) -> Score:
    found = next((score for score in evaluation.scores.all() if score.benchmark == benchmark), None)
    if found is None:
        raise IncomparableError(f"Evaluation {evaluation.pk} has no score on {benchmark}.")
    return found


def _answers(score: Score) -> PackedAnswers:
    return PackedAnswers.from_bytes(score.n, bytes(score.correct_bits), bytes(score.scored_bits))
