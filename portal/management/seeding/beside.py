"""Invented results beside the boards: what some entries change on other domains, and what they give away."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict

import numpy

from evaluation.leakage.signals import TITLES
from evaluation.leakage.sources import NONE_KNOWN
from evaluation.rules.challenges import CHALLENGES
from evaluation.rules.protocol import CURRENT
from evaluation.statistics.membership import area_under_curve, true_positives
from evaluation.wire.leakage import ClientLeakage, Exposure, Membership
from portal.management.seeding.entries import Board
from portal.management.seeding.methods import Method
from portal.runs import transfer
from portal.runs.models import Evaluation, Leakage
from portal.submissions.models import Submission

ROWS = 500
_CLIENTS = 4
_BITS = 8.0
_Purpose, _Status = Evaluation.Purpose, Evaluation.Status


def measure_elsewhere(boards: Mapping[str, Board], entries: Sequence[tuple[Submission, Method]]) -> None:
    """Ask adapters about every other domain, and their base models where no board has their answers."""
    wanted = [*_of_adapters(boards, entries), *_of_base_models(entries)]
    for domain, board in boards.items():
        chosen = [pair for pair in wanted if pair[0].domain == domain]
        evaluations = Evaluation.objects.bulk_create(evaluation for evaluation, _ in chosen)
        methods = [method for _, method in chosen]
        abilities = board.base_abilities(methods)
        # An adapter forgets more often than it learns something that it was not trained for.
        changes = board.random.normal(-0.1, 0.25, len(chosen)).astype(numpy.float32)
        abilities += changes * [evaluation.checkpoint_id is not None for evaluation in evaluations]
        board.answer(evaluations, methods, abilities)
        _end(board, evaluations)


def measure_leakage(board: Board, entries: Sequence[tuple[Submission, bool]]) -> None:
    """Of adapters, each with whether it was trained here: only then it is known who held which row."""
    known = [pair for pair in entries if pair[1] or board.challenge.slug not in NONE_KNOWN]
    evaluations = Evaluation.objects.bulk_create(
        _evaluation(submission, _Purpose.LEAKAGE, "") for submission, _ in known
    )
    Leakage.objects.bulk_create(
        _leakage(board, evaluation, trained_here=trained_here)
        for evaluation, (_, trained_here) in zip(evaluations, known, strict=True)
    )
    _end(board, evaluations)


def _of_adapters(
    boards: Mapping[str, Board], entries: Sequence[tuple[Submission, Method]]
) -> Iterator[tuple[Evaluation, Method]]:
    for submission, method in entries:
        for domain in boards:
            if domain != submission.challenge:
                yield _evaluation(submission, _Purpose.TRANSFER, domain), method


def _of_base_models(entries: Sequence[tuple[Submission, Method]]) -> Iterator[tuple[Evaluation, Method]]:
    """What no untuned entry has of it in the precision of the adapter's own board."""
    found = transfer.of_base_models({submission.base_model_id for submission, _ in entries})
    there = {
        (one.base_model_id, transfer.precision_of(one), one.challenge)
        for one in found.select_related("submission")
    }
    for submission, method in entries:
        for domain in CHALLENGES:
            condition = (submission.base_model_id, _precision(submission), domain)
            if condition not in there:
                there.add(condition)
                yield _evaluation(submission, _Purpose.BASE, domain), method


def _evaluation(submission: Submission, purpose: str, domain: str) -> Evaluation:
    return Evaluation(
        submission=submission,
        base_model_id=submission.base_model_id,
        checkpoint_id=None if purpose == _Purpose.BASE else submission.checkpoint_id,
        protocol=CURRENT.number,
        purpose=purpose,
        domain=domain,
        status=_Status.RUNNING,
        claim_id=uuid.uuid4(),
        lease_expires_at=submission.published_at,
        provenance={"precision": _precision(submission), "engine": {"name": "none, invented"}},
    )


def _precision(submission: Submission) -> str:
    return CURRENT.precisions[submission.challenge]


def _end(board: Board, evaluations: Sequence[Evaluation]) -> None:
    Evaluation.objects.filter(pk__in=[evaluation.pk for evaluation in evaluations]).update(
        status=_Status.MEASURED,
        claim_id=None,
        lease_expires_at=None,
        finished_at=board.calendar.beginning,
    )


def _leakage(board: Board, evaluation: Evaluation, *, trained_here: bool) -> Leakage:
    apart = abs(float(board.random.normal(0.3, 0.3)))
    ratio, least, base = (
        _membership(board, signal, apart * share)
        for signal, share in zip(TITLES, (1.0, 0.6, 0.0), strict=True)
    )
    clients, exposures = [], []
    if trained_here:
        held = sorted(board.random.choice(board.challenge.clients, _CLIENTS, replace=False).tolist())
        each = ROWS // _CLIENTS
        clients = [ClientLeakage(c, each, _membership(board, "loss_ratio", apart, each)) for c in held]
        exposures = [Exposure(c, _BITS - float(board.random.uniform(0, _BITS)), _BITS) for c in held[:2]]
    low, high = ratio.auc_interval or (None, None)
    rate_low, rate_high = ratio.true_positives_interval or (None, None)
    return Leakage(
        evaluation=evaluation,
        basis=Leakage.Basis.MEASURED if trained_here else Leakage.Basis.DECLARED,
        members=ROWS,
        others=ROWS,
        auc=ratio.auc,
        auc_low=low,
        auc_high=high,
        true_positives=ratio.true_positives,
        true_positives_low=rate_low,
        true_positives_high=rate_high,
        memberships=[asdict(one) for one in (ratio, least, base)],
        clients=[asdict(one) for one in clients],
        exposures=[asdict(one) for one in exposures],
        seconds=60.0,
    )


def _membership(board: Board, signal: str, apart: float, rows: int = ROWS) -> Membership:
    """Of scores of two normal distributions."""
    members, others = (board.random.normal(middle, 1, rows).tolist() for middle in (apart, 0))
    area, rate = area_under_curve(members, others), true_positives(members, others)
    return Membership(signal, area.value, area.interval, rate.value, rate.interval)
