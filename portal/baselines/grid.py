"""What is read of baseline runs: who may see which, and the grid of strategies by base models."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from django.conf import settings
from django.db.models import Prefetch, Q, QuerySet

from evaluation.method.strategies import STRATEGIES, on_card
from evaluation.rules.challenges import CHALLENGES, Challenge
from evaluation.statistics import Interval, mean_interval
from portal.accounts.access import sees_all
from portal.runs.models import BaselineRun, Evaluation, Score
from portal.submissions.models import BaseModel, Resource, Submission
from portal.submissions.rules import site_rules

UNTUNED = "untuned"


def visible_runs(user: object) -> QuerySet[BaselineRun]:
    """All runs but those that retrain what is not public, which are for staff."""
    runs = BaselineRun.objects.select_related("base_model", "submission", "requested_by")
    runs = runs.defer("base_model__tensors", "submission__config_text", "submission__adapter_config_text")
    if sees_all(user):
        return runs
    return runs.filter(Q(original=None) | Q(original__status__in=Submission.PUBLIC))


@dataclass(frozen=True)
class GridCell:
    """What stands for a strategy on a base model: the newest entry with a score, else the newest attempt.

    `average` is a fraction, None until the entry is public and where it was not evaluated under the site's
    protocol; `mark` as in Score.mark. Costs are measured, in bytes and seconds.
    """

    entry: int | None
    run: int | None
    status: str
    status_words: str
    average: float | None = None
    interval: Interval | None = None
    mark: str = ""
    bytes: float | None = None
    seconds: float | None = None


@dataclass(frozen=True)
class GridRow:
    """A strategy with a cell, or None, for each base model of the grid."""

    title: str
    summary: str
    cells: tuple[GridCell | None, ...]


@dataclass(frozen=True)
class Grid:
    """One challenge's baselines."""

    challenge: Challenge
    base_models: tuple[BaseModel, ...]
    rows: tuple[GridRow, ...]


@dataclass
class _Place:
    """What was found for one strategy on one base model: entries, the newest first, and the newest run."""

    entries: list[Submission] = field(default_factory=list)
    run: BaselineRun | None = None


def grids(user: object) -> list[Grid]:
    """The grid of each challenge that has baselines, in a constant number of queries."""
    places: dict[str, dict[tuple[str, int], _Place]] = {slug: {} for slug in CHALLENGES}
    base_models: dict[int, BaseModel] = {}
    for entry in _reference_entries():
        strategy = _strategy_of(entry)
        if strategy:
            key = (strategy, entry.base_model_id)
            places[entry.challenge].setdefault(key, _Place()).entries.append(entry)
            base_models[entry.base_model_id] = entry.base_model
    for run in _newest_runs(user):
        key = (run.strategy, run.base_model_id)
        places[run.challenge].setdefault(key, _Place()).run = run
        base_models[run.base_model_id] = run.base_model
    return [
        _grid(challenge, places[challenge.slug], base_models)
        for challenge in CHALLENGES.values()
        if places[challenge.slug]
    ]


def _grid(
    challenge: Challenge, places: dict[tuple[str, int], _Place], base_models: dict[int, BaseModel]
) -> Grid:
    there = {base_model for _, base_model in places}
    columns = sorted(
        (base_models[pk] for pk in there), key=lambda model: (model.parameters or 0, model.hub_id)
    )
    names = [(UNTUNED, "Untuned base model", "The base model as it is: what training has to beat.")]
    names += [(info.name, info.title, info.summary) for info in STRATEGIES.values()]
    used = {strategy for strategy, _ in places}
    rows = [
        GridRow(
            title,
            summary,
            tuple(_cell(places.get((name, column.pk)), challenge) for column in columns),
        )
        for name, title, summary in names
        if name in used
    ]
    return Grid(challenge, tuple(columns), tuple(rows))


def _newest_runs(user: object) -> QuerySet[BaselineRun]:
    """The newest run of each cell, cancelled ones aside."""
    place = ("challenge", "strategy", "base_model_id")
    runs = visible_runs(user).filter(original=None).exclude(status=BaselineRun.Status.CANCELLED)
    return runs.defer("config", "setup").order_by(*place, "-pk").distinct(*place)


def _reference_entries() -> QuerySet[Submission]:
    scores = Score.objects.defer("correct_bits", "scored_bits")
    # Cells are compared, so that all are of one protocol: the site's.
    evaluations = Evaluation.objects.filter(
        status=Evaluation.Status.SUCCEEDED,
        protocol=settings.LEADERBOARD_PROTOCOLS[0],
        for_audit=False,
    ).order_by("-pk")
    return (
        Submission.objects.filter(
            kind=Submission.Kind.REFERENCE,
            status=Submission.Status.PUBLISHED,
            baseline_run__original=None,
        )
        .select_related("base_model", "baseline_run")
        .defer("config_text", "adapter_config_text", "base_model__tensors", "baseline_run__config")
        .prefetch_related(
            Prefetch("evaluations", evaluations.prefetch_related(Prefetch("scores", scores))),
            Prefetch("resources", Resource.objects.filter(basis=Resource.Basis.MEASURED)),
        )
        .order_by("-published_at", "-pk")
    )


def _strategy_of(entry: Submission) -> str | None:
    """The strategy's name in STRATEGIES: the run's, else what the method card says."""
    run = getattr(entry, "baseline_run", None)
    if run is not None:
        return str(run.strategy)
    if entry.checkpoint_id is None:
        return UNTUNED
    info = on_card(str((entry.method_card or {}).get("strategy") or ""))
    return info.name if info else None


def _cell(place: _Place | None, challenge: Challenge) -> GridCell | None:
    if place is None:
        return None
    if place.entries:
        return _scored(place.entries[0], challenge)
    run = place.run
    assert run
    entry = run.submission
    status, words = (
        (entry.status, entry.get_status_display()) if entry else (run.status, run.get_status_display())
    )
    if run.status == BaselineRun.Status.RUNNING:
        words = f"round {run.rounds_done} of {run.rounds}"
    return GridCell(entry=None, run=run.pk, status=status, status_words=words)


def _scored(entry: Submission, challenge: Challenge) -> GridCell:
    evaluation = next(iter(entry.evaluations.all()), None)
    benchmarks = site_rules(challenge.slug).benchmarks
    scores = _in_order(evaluation.scores.all() if evaluation else (), benchmarks)
    values = [score.value for score in scores if score.value is not None]
    complete = len(values) == len(benchmarks)
    costs = {resource.kind: resource.value for resource in entry.resources.all()}
    directions = (Resource.Kind.COMMUNICATION_UP, Resource.Kind.COMMUNICATION_DOWN)
    both = [costs[kind] for kind in directions if kind in costs]
    run = getattr(entry, "baseline_run", None)
    return GridCell(
        entry=entry.pk,
        run=run.pk if run else None,
        status=entry.status,
        status_words=entry.get_status_display(),
        average=sum(values) / len(values) if complete else None,
        interval=mean_interval([(s.correct, s.n - s.unscored) for s in scores]) if complete else None,
        mark=next((score.mark for score in scores if score.mark), ""),
        bytes=sum(both) if len(both) == 2 else costs.get(Resource.Kind.COMMUNICATION),
        seconds=costs.get(Resource.Kind.WALL_TIME),
    )


def _in_order(scores: Iterable[Score], benchmarks: Iterable[str]) -> Sequence[Score]:
    known = {score.benchmark: score for score in scores}
    return [known[slug] for slug in benchmarks if slug in known]
