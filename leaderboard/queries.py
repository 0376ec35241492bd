"""Reads published submissions as ranking entries, in a constant number of queries."""

from __future__ import annotations

from collections.abc import Iterable

from django.db.models import Prefetch

from evaluation.challenges import CHALLENGES, Challenge
from leaderboard.ranking import BenchmarkScore, Cost, Entry, Standing, standings
from portal.runs.models import Evaluation, Score
from portal.submissions.models import Resource, Submission

Kind = Resource.Kind
# A measured figure beats a derived one, which beats what was declared.
_BASIS_ORDER = (Resource.Basis.MEASURED, Resource.Basis.DERIVED, Resource.Basis.DECLARED)


def board(challenge: Challenge) -> list[Standing]:
    """Return the standings of all published entries of a challenge under its newest protocol."""
    published = published_entries(Submission.objects.filter(challenge=challenge.slug))
    newest = max((entry.protocol for entry in published), default=None)
    return standings([e for e in published if e.protocol == newest], challenge.benchmarks)


def published_entries(submissions: Iterable[Submission]) -> list[Entry]:
    finished = Evaluation.objects.filter(status=Evaluation.Status.SUCCEEDED).order_by(
        "-protocol", "-finished_at"
    )
    rows = (
        submissions.filter(status=Submission.Status.PUBLISHED)  # type: ignore[attr-defined]
        .select_related("team", "base_model")
        .defer("config_text", "description", "base_model__tensors")
        .prefetch_related(
            "resources", Prefetch("evaluations", finished.prefetch_related(_scores()), to_attr="finished")
        )
    )
    return [entry_of(row, row.finished[0]) for row in rows if row.finished]


def _scores() -> Prefetch[str]:
    return Prefetch("scores", Score.objects.defer("correct_bits", "scored_bits"))


def entry_of(submission: Submission, evaluation: Evaluation) -> Entry:
    """The ranking entry for a published submission and the evaluation that counts."""
    order = CHALLENGES[submission.challenge].benchmarks
    scores = {score.benchmark: score for score in evaluation.scores.all()}
    resources = list(submission.resources.all())
    assert submission.published_at
    return Entry(
        id=submission.pk,
        method=submission.method,
        team=submission.team.name,
        base_model=submission.base_model.name,
        parameters=submission.base_model.parameters,
        kind=submission.kind,
        trust="reference" if submission.kind == Submission.Kind.REFERENCE else "evaluated",
        protocol=evaluation.protocol,
        precision=str(evaluation.provenance.get("precision", "")),
        scores=tuple(
            BenchmarkScore(
                benchmark=slug,
                value=score.value,
                correct=score.correct,
                n=score.n,
                available=score.available,
                unscored=score.unscored,
                data=score.data,
                official=score.official,
                reasons=tuple(score.unofficial_reasons),
            )
            for slug in order
            if (score := scores.get(slug))
        ),
        communication=_communication(resources),
        client_memory=_best(resources, Kind.CLIENT_VRAM) or _best(resources, Kind.CLIENT_RSS),
        time=_best(resources, Kind.WALL_TIME),
        published_at=submission.published_at,
    )


def _best(resources: list[Resource], kind: Resource.Kind) -> Cost | None:
    for basis in _BASIS_ORDER:
        for resource in resources:
            if resource.kind == kind and resource.basis == basis:
                return Cost(resource.value, basis)
    return None


def _communication(resources: list[Resource]) -> Cost | None:
    """Both directions together: as one total, or as the sum of up and down on the same basis."""
    for basis in _BASIS_ORDER:
        known = {r.kind: r.value for r in resources if r.basis == basis}
        if Kind.COMMUNICATION in known:
            return Cost(known[Kind.COMMUNICATION], basis)
        if Kind.COMMUNICATION_UP in known and Kind.COMMUNICATION_DOWN in known:
            return Cost(known[Kind.COMMUNICATION_UP] + known[Kind.COMMUNICATION_DOWN], basis)
    return None
