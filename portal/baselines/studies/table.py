"""A study's table as it stands: of each cell the runs, the mean over seeds, its interval and its costs."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from statistics import fmean

from django.conf import settings
from django.db.models import Prefetch

from evaluation.adapter_kinds import KINDS
from evaluation.federated import study as plans
from evaluation.federated.study import Cell, StudyPlan
from evaluation.method.strategies import STRATEGIES
from evaluation.rules.challenges import CHALLENGES, Challenge
from evaluation.statistics import Interval, mean_interval
from evaluation.statistics.packed import PackedAnswers
from evaluation.statistics.seeds import Run, difference_over_seeds, mean_over_seeds
from portal.baselines.studies.planning import in_words
from portal.baselines.studies.services import is_over
from portal.runs.models import BaselineRun, Evaluation, Score, Study, StudyRun
from portal.submissions.models import Resource, Submission
from portal.submissions.rules import site_rules

Status = BaselineRun.Status

SIGNIFICANT = 0.05

_STAGES = {
    "training": "training",
    "scoring": "being scored",
    "waiting": "waiting",
    "over": "ended without a score",
}

_COSTS = {
    "bytes": (Resource.Kind.COMMUNICATION_UP, Resource.Kind.COMMUNICATION_DOWN),
    "seconds": (Resource.Kind.WALL_TIME,),
    "energy": (Resource.Kind.ENERGY,),
}


@dataclass(frozen=True)
class PlaceRun:
    """The run that counts for a cell and a seed. `stage` is waiting, training, scoring, scored or over.

    `scores` are fractions by benchmark, complete or none; bytes, seconds and joules of its training were
    measured.
    """

    seed: int
    run: int
    stage: str
    words: str
    entry: int | None = None
    is_public: bool = False
    average: float | None = None
    scores: Mapping[str, float] = field(default_factory=dict)
    mark: str = ""
    bytes: float | None = None
    seconds: float | None = None
    energy: float | None = None


@dataclass(frozen=True)
class CellScore:
    """The mean over a cell's scored seeds. `spread` is their standard deviation, None of one alone.

    The interval is over items and seeds together, of one seed over items alone.
    """

    value: float
    interval: Interval
    seeds: int
    spread: float | None


@dataclass(frozen=True)
class CellResult:
    """A cell with its runs in the order of the seeds, and means over those that are scored.

    `best` is the highest on its base model and challenge. `is_level` says of another that it cannot be told
    from the best; None for the best, and where single answers are missing.
    """

    cell: Cell
    runs: tuple[PlaceRun, ...]
    score: CellScore | None
    mark: str
    bytes: float | None
    seconds: float | None
    energy: float | None
    best: bool = False
    is_level: bool | None = None

    @property
    def can_run_again(self) -> bool:
        return any(run.stage == "over" for run in self.runs)

    @property
    def state(self) -> str:
        """In words: what its runs are at, where not all are scored."""
        counts = Counter(run.stage for run in self.runs)
        if set(counts) == {"scored"}:
            return ""
        return ", ".join(f"{counts[stage]} {words}" for stage, words in _STAGES.items() if counts[stage])


@dataclass(frozen=True)
class Table:
    """A study as it stands."""

    study: Study
    plan: StudyPlan
    cells: tuple[CellResult, ...]

    @property
    def counts(self) -> Mapping[str, int]:
        """Runs by their stage."""
        return Counter(run.stage for cell in self.cells for run in cell.runs)

    @property
    def scored(self) -> int:
        return self.counts.get("scored", 0)

    @property
    def is_under_way(self) -> bool:
        return any(self.counts.get(stage) for stage in ("waiting", "training", "scoring"))

    @property
    def awaits_review(self) -> int:
        """Scored runs whose entries are not public yet."""
        return sum(run.stage == "scored" and not run.is_public for cell in self.cells for run in cell.runs)

    @property
    def mark(self) -> str:
        """What all scores have in common, where none is official: it is said once."""
        marks = {result.mark for result in self.cells if result.score}
        return marks.pop() if len(marks) == 1 else ""

    @property
    def challenges(self) -> list[Challenge]:
        return [CHALLENGES[slug] for slug in self.plan.challenges]

    def of(self, challenge: str) -> list[CellResult]:
        return [result for result in self.cells if result.cell.challenge == challenge]


@dataclass(frozen=True)
class Summary:
    """A study in a list: `scored` of its runs are."""

    study: Study
    plan: StudyPlan
    scored: int


@dataclass(frozen=True)
class _Answers:
    """A run's (right, scored) answers to each benchmark, and the single ones as far as they are known."""

    counts: Sequence[tuple[int, int]]
    packed: Run

    @property
    def is_complete(self) -> bool:
        return len(self.packed) == len(self.counts) and all(answers.complete for answers in self.packed)


def table_of(study: Study, *, sees_all: bool) -> Table:
    """Read a study in a constant number of queries. Scores that are not public yet are for `sees_all`."""
    plan = plans.stored(study.plan)
    answers: dict[int, _Answers] = {}
    runs = _runs_by_cell(study, plan, answers, sees_all=sees_all)
    results = [_result(cell, runs[cell.number], answers) for cell in plan.cells]
    return Table(study, plan, tuple(_with_best(results, answers)))


def summary_of(study: Study, *, sees_all: bool) -> Summary:
    """How far a study is, without the statistics of its table."""
    plan = plans.stored(study.plan)
    runs = _runs_by_cell(study, plan, {}, sees_all=sees_all)
    return Summary(study, plan, sum(run.stage == "scored" for each in runs.values() for run in each))


def _runs_by_cell(
    study: Study, plan: StudyPlan, answers: dict[int, _Answers], *, sees_all: bool
) -> dict[int, list[PlaceRun]]:
    """The runs that count of each cell's number, by seed; `answers` gets those of the scored."""
    newest: dict[tuple[int, int], BaselineRun] = {}
    for place in _places(study):
        newest[place.cell, place.seed] = place.run
    found = {}
    for cell in plan.cells:
        benchmarks = list(site_rules(cell.challenge).benchmarks)
        found[cell.number] = [
            _place(seed, run, benchmarks, answers, sees_all=sees_all)
            for seed in plan.seeds
            if (run := newest.get((cell.number, seed)))
        ]
    return found


def method_of(cell: Cell, plan: StudyPlan) -> str:
    """The method's name beside its base model: what the plan varies."""
    words = [STRATEGIES[cell.strategy].title]
    if len(plan.adapters) > 1:
        words.append(KINDS[cell.adapter].title)
    if len(plan.partitions) > 1:
        words.append(cell.partition_name)
    return ", ".join(words)


def _places(study: Study) -> Iterable[StudyRun]:
    evaluations = (
        Evaluation.objects.filter(
            status=Evaluation.Status.SUCCEEDED, protocol=settings.LEADERBOARD_PROTOCOLS[0], for_audit=False
        )
        .defer("provenance")
        .order_by("-pk")
        .prefetch_related(Prefetch("scores", Score.objects.all()))
    )
    measured = Resource.objects.filter(basis=Resource.Basis.MEASURED)
    return (
        StudyRun.objects.filter(study=study)
        .select_related("run__submission")
        .defer(
            "run__config", "run__setup", "run__submission__config_text",
            "run__submission__adapter_config_text",
        )
        .prefetch_related(
            Prefetch("run__submission__evaluations", evaluations),
            Prefetch("run__submission__resources", measured),
        )
        .order_by("cell", "seed", "pk")
    )  # fmt: skip


def _place(
    seed: int, run: BaselineRun, benchmarks: Sequence[str], answers: dict[int, _Answers], *, sees_all: bool
) -> PlaceRun:
    entry = run.submission
    if is_over(run):
        words = entry.get_status_display() if entry else run.get_status_display()
        return PlaceRun(seed, run.pk, "over", words, entry.pk if entry else None)
    if entry is None:
        stage = "training" if run.status == Status.RUNNING else "waiting"
        words = f"round {run.rounds_done} of {run.rounds}" if stage == "training" else "waiting"
        return PlaceRun(seed, run.pk, stage, words)
    is_public = entry.status == Submission.Status.PUBLISHED
    evaluation = next(iter(entry.evaluations.all()), None)
    known = {score.benchmark: score for score in evaluation.scores.all()} if evaluation else {}
    scores = [known[slug] for slug in benchmarks if slug in known]
    values = {score.benchmark: score.value for score in scores if score.value is not None}
    if len(values) < len(benchmarks) or not (is_public or sees_all):
        words = "in review" if len(values) == len(benchmarks) else entry.get_status_display()
        return PlaceRun(seed, run.pk, "scoring", words, entry.pk, is_public)
    answers[run.pk] = _Answers(
        [(one.correct, one.n - one.unscored) for one in scores],
        [
            PackedAnswers.from_bytes(one.n, bytes(one.correct_bits), bytes(one.scored_bits))
            for one in scores
            if one.correct_bits
        ],
    )
    costs = {resource.kind: resource.value for resource in entry.resources.all()}
    sums = {
        name: sum(costs[kind] for kind in kinds) if all(kind in costs for kind in kinds) else None
        for name, kinds in _COSTS.items()
    }
    mark = next((score.mark for score in scores if score.mark), "")
    average = fmean(values.values())
    words = entry.get_status_display()
    return PlaceRun(seed, run.pk, "scored", words, entry.pk, is_public, average, values, mark, **sums)


def _result(cell: Cell, runs: Sequence[PlaceRun], answers: Mapping[int, _Answers]) -> CellResult:
    scored = [run for run in runs if run.average is not None]
    return CellResult(
        cell=cell,
        runs=tuple(runs),
        score=_score(answers[run.run] for run in scored),
        mark=next((run.mark for run in scored if run.mark), ""),
        bytes=_mean(run.bytes for run in scored),
        seconds=_mean(run.seconds for run in scored),
        energy=_mean(run.energy for run in scored),
    )


def _score(scored: Iterable[_Answers]) -> CellScore | None:
    """The mean over seeds whose single answers are known, all to the same items; else of the first alone."""
    runs = list(scored)
    alike = _alike(runs)
    if len(alike) > 1:
        found = mean_over_seeds(alike)
        return CellScore(found.value, found.interval, found.runs, found.spread)
    if not runs:
        return None
    counts = runs[0].counts
    return CellScore(fmean(right / n for right, n in counts), mean_interval(counts), 1, None)


def _alike(runs: Sequence[_Answers]) -> list[Run]:
    """The single answers of those runs that have all, to the same items as the first of them."""
    complete = [run.packed for run in runs if run.is_complete]
    return [run for run in complete if _items(run) == _items(complete[0])]


def _items(run: Run) -> list[int]:
    return [answers.items for answers in run]


def _mean(values: Iterable[float | None]) -> float | None:
    known = list(values)
    return fmean(value for value in known if value is not None) if known and None not in known else None


def _with_best(results: Sequence[CellResult], answers: Mapping[int, _Answers]) -> Iterator[CellResult]:
    """The best of a challenge on a base model is marked, as papers set it in bold; not where all tie."""
    groups: dict[tuple[str, str], list[CellResult]] = {}
    for result in results:
        if result.score:
            groups.setdefault((result.cell.challenge, result.cell.base_model), []).append(result)
    compared = (one for group in groups.values() for one in _compared(group, answers))
    marked = {one.cell.number: one for one in compared}
    return (marked.get(result.cell.number, result) for result in results)


def _compared(group: Sequence[CellResult], answers: Mapping[int, _Answers]) -> Iterator[CellResult]:
    """Methods on one base model beside their best: level are those whose paired interval of the difference
    has 0 in it.

    The best is chosen by the same answers, so that any two methods could be the pair: the intervals hold for
    all pairs at once (Bonferroni).
    """
    values = [result.score.value for result in group if result.score]
    if len(set(values)) < 2:
        yield from group
        return
    own = [_alike([answers[run.run] for run in result.runs if run.run in answers]) for result in group]
    best = own[values.index(max(values))]
    confidence = 1 - SIGNIFICANT / math.comb(len(group), 2)
    for result, value, runs in zip(group, values, own, strict=True):
        is_level = None
        if value < max(values) and best and runs and _items(runs[0]) == _items(best[0]):
            is_level = difference_over_seeds(best, runs).interval(confidence)[0] <= 0
        yield replace(result, best=value == max(values), is_level=is_level)


def state_in_words(result: CellResult) -> str:
    """A cell's place and state, for terminals and files."""
    return f"{in_words(result.cell)}: {result.state or 'scored'}"
