"""Reads published submissions as entries, in a constant number of queries and as they stood at any moment."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import lru_cache
from typing import Any

from django.apps import apps
from django.conf import settings
from django.db.models import Case, Exists, F, OuterRef, Q, QuerySet, Value, When
from django.db.models.fields.json import KT

from evaluation import adapter_kinds as kinds
from evaluation.benchmarks import BENCHMARKS
from evaluation.findings import Severity
from evaluation.method.strategies import strategy_title
from evaluation.rules.base_size import named_size
from evaluation.rules.protocol import PROTOCOLS, PUBLIC, Protocol
from evaluation.statistics import PackedAnswers
from leaderboard.reading.energy import answer_energies
from leaderboard.reading.leakage import figures_of
from leaderboard.reading.model_names import family_of
from leaderboard.reading.transfer import changes_of
from leaderboard.standing.entries import BenchmarkScore, Cost, Entry, Flag, Trust
from leaderboard.standing.seeds import Answers
from portal.runs.models import Evaluation, Score
from portal.runs.reproductions import marks_of
from portal.submissions.models import (
    BaseModel,
    DeclaredScore,
    Finding,
    Resource,
    Submission,
    SubmissionQuerySet,
)

Kind = Resource.Kind
_Model = tuple[int, str, int | None, str]  # number, hub id, parameters, licence
_LEFT = (Submission.Status.WITHDRAWN, Submission.Status.DISQUALIFIED)
# A measured figure beats a derived one, which beats what was declared.
_BASES = {Resource.Basis.DECLARED.value: 0, Resource.Basis.DERIVED.value: 1, Resource.Basis.MEASURED.value: 2}
_BOTH = Kind.COMMUNICATION.value
_DIRECTIONS = (Kind.COMMUNICATION_UP.value, Kind.COMMUNICATION_DOWN.value)

_SUBMISSION = (
    "pk", "challenge", "method", "team__name", "team_id",
    "base_model_id", "base_model__hub_id", "base_model__parameters", "base_model__licence",
    "kind", "method_card", "checkpoint_id", "published_at", "source_date", "source_place", "source_url",
    "repeats_id", "status",
)  # fmt: skip
_EVALUATION = ("submission_id", "pk", "protocol", KT("provenance__precision"))
_SCORE = (
    "evaluation_id", "benchmark", "value", "correct", "n", "available", "unscored", "data", "official",
    "reasons", "data_digest",
)  # fmt: skip


@dataclass(frozen=True)
class Reading:
    """Entries, and by their id the answers, in the protocol's order, of those of which all are kept."""

    entries: list[Entry]
    answers: Mapping[int, Answers]


@dataclass(frozen=True)
class _Judged:
    """What an entry's place follows from: the evaluation that counts (number, protocol, precision), scores,
    what speaks against them, and what retraining showed."""

    evaluation: tuple[int, int, str | None] | None
    scores: list[BenchmarkScore]
    flags: tuple[Flag, ...]
    trust: Trust | None


def public_at(challenge: str, moment: datetime | None = None) -> SubmissionQuerySet:
    """The submissions of a challenge that are published, or that were at a moment.

    What left the board was published until its status changed. What was reinstated since was away meanwhile.
    """
    rows = Submission.objects.filter(challenge=challenge)
    if moment is None:
        return rows.filter(status=Submission.Status.PUBLISHED)
    stood = Q(status=Submission.Status.PUBLISHED) | Q(status__in=_LEFT, status_changed_at__gt=moment)
    events = apps.get_model("submissions", "StatusEvent").objects.filter(status_changed_at__lte=moment)
    back = events.filter(pgh_obj=OuterRef("pgh_obj"), pk__gt=OuterRef("pk"))
    away = events.filter(status=Submission.Status.DISQUALIFIED).exclude(Exists(back))
    return rows.filter(stood, published_at__lte=moment).exclude(pk__in=away.values("pgh_obj"))


def read(
    submissions: SubmissionQuerySet,
    moment: datetime | None = None,
    *,
    protocol: int | None = None,
    with_answers: bool = False,
) -> Reading:
    """The entries of those submissions, each with the evaluation that `counting` finds.

    One that has none is no entry, but for the imported with declared scores, which belong to PUBLIC."""
    rows = list(submissions.order_by("pk").values_list(*_SUBMISSION))
    chosen = submissions.order_by().values("pk")
    evaluations = counting(chosen, moment, protocol=protocol)
    counted = {row[0]: row[1:] for row in evaluations.values_list(*_EVALUATION)}
    orders = {number: _order(PROTOCOLS[under]) for number, under, _ in counted.values()}
    scores, answers = _scores(evaluations.values("pk"), orders, with_answers=with_answers)
    declared = _declared(chosen) if protocol in (None, PUBLIC.number) else {}
    flags = _flags(chosen)
    costs = _costs(chosen)
    marks = marks_of(chosen, as_of=moment)
    transfers = changes_of(chosen, evaluations, moment)
    leakages = figures_of(chosen, moment)
    energies = answer_energies(evaluations.values("pk"))
    models = _models()
    entries = []
    for row in rows:
        pk = row[0]
        evaluation = counted.get(pk)
        # One that another took the place of between two of the queries has no scores: the next look at the
        # stamp, which that changed, has it read again.
        found = scores.get(evaluation[0]) if evaluation else declared.get(pk)
        if found is None:
            continue
        mark = marks.get(pk)
        trust = Trust(mark.outcome) if mark else None
        judged = _Judged(evaluation, found, tuple(flags.get(pk, ())), trust)
        entry = _entry(row, judged, costs.get(pk, {}), models)
        if pk in transfers or pk in leakages:
            entry = replace(entry, transfer=transfers.get(pk, ()), leakage=leakages.get(pk))
        if evaluation and evaluation[0] in energies:
            entry = replace(entry, answer_energy=energies[evaluation[0]])
        entries.append(_left_since(entry, row[-1]) if moment else entry)
    by_submission = {
        pk: kept for pk, (number, *_) in counted.items() if (kept := answers.get(number)) is not None
    }
    return Reading(entries, by_submission)


def entry_of(submission: int, protocol: int | None = None) -> Entry:
    """The entry of one submission, which whoever asks has to be allowed to see.

    Raises LookupError where there is nothing to show of it.
    """
    found = read(Submission.objects.filter(pk=submission), protocol=protocol).entries
    if not found:
        raise LookupError(f"submission {submission} is no entry")
    return found[0]


def counting(
    chosen: Any, moment: datetime | None = None, *, protocol: int | None = None
) -> QuerySet[Evaluation]:
    """The evaluation of each of the submissions that counts, of those that finished before `moment`.

    That is the last under `protocol`; for None the last under the site's own, else under the newest.
    """
    finished = Evaluation.objects.filter(
        submission__in=chosen, status=Evaluation.Status.SUCCEEDED, for_audit=False
    )
    # Not of an adapter that the submission had before reviewers asked for changes.
    finished = finished.filter(Q(checkpoint=None) | Q(checkpoint=F("submission__checkpoint")))
    if moment is not None:
        finished = finished.filter(finished_at__lte=moment)
    order: tuple[Any, ...] = ("-finished_at", "-pk")
    if protocol is not None:
        finished = finished.filter(protocol=protocol)
    else:
        finished = finished.filter(protocol__in=list(PROTOCOLS))
        others_last = Case(When(protocol=settings.LEADERBOARD_PROTOCOLS[0], then=0), default=1)
        order = (others_last, "-protocol", *order)
    return finished.order_by("submission_id", *order).distinct("submission_id")


def protocols_of(chosen: Iterable[int]) -> set[int]:
    """The protocols that at least one of these published submissions has figures under."""
    published = Submission.objects.filter(pk__in=chosen, status=Submission.Status.PUBLISHED).order_by()
    finished = Q(evaluations__status=Evaluation.Status.SUCCEEDED)
    evaluated = published.filter(finished).values_list("evaluations__protocol", flat=True)
    imported = published.filter(kind=Submission.Kind.IMPORTED).values_list(Value(PUBLIC.number), flat=True)
    return set(evaluated.union(imported)) & PROTOCOLS.keys()


def _scores(
    evaluations: Any, orders: Mapping[int, Mapping[str, int]], *, with_answers: bool
) -> tuple[dict[int, list[BenchmarkScore]], dict[int, Answers]]:
    """By evaluation, of which `orders` give the order of the benchmarks."""
    columns = (*_SCORE, "correct_bits") if with_answers else _SCORE
    # Most scores have no reasons: nothing to parse.
    reasoned = Case(When(official=False, then=F("unofficial_reasons")), default=None)
    found = Score.objects.filter(evaluation__in=evaluations).order_by().annotate(reasons=reasoned)
    scores: dict[int, list[BenchmarkScore]] = defaultdict(list)
    answers: dict[int, dict[str, tuple[str, PackedAnswers]]] = defaultdict(dict)
    for row in found.values_list(*columns):
        number, benchmark, value, correct, n, available, unscored, data, official, reasons, digest = row[:11]
        scores[number].append(
            BenchmarkScore(
                benchmark, value, correct, n, available, unscored, data, official, tuple(reasons or ())
            )
        )
        if with_answers and row[11] and not unscored:
            answers[number][benchmark] = digest, PackedAnswers.all_scored(n, bytes(row[11]))
    complete = {
        number: Answers.of(answers[number][score.benchmark] for score in _in_order(found, orders[number]))
        for number, found in scores.items()
        if len(answers[number]) == len(found)
    }
    return {number: _in_order(found, orders[number]) for number, found in scores.items()}, complete


def _order(protocol: Protocol) -> dict[str, int]:
    """The place of each benchmark in its challenge."""
    return {slug: place for own in protocol.benchmarks.values() for place, slug in enumerate(own)}


def _in_order(scores: Iterable[BenchmarkScore], order: Mapping[str, int]) -> list[BenchmarkScore]:
    return sorted(scores, key=lambda score: order[score.benchmark])


def _declared(chosen: Any) -> dict[int, list[BenchmarkScore]]:
    """By submission: what an imported entry's team states, in the challenge's order."""
    found: dict[int, list[BenchmarkScore]] = defaultdict(list)
    rows = DeclaredScore.objects.filter(
        submission__in=chosen, submission__kind=Submission.Kind.IMPORTED
    ).values_list("submission_id", "benchmark", "value", "decimals")
    for submission, benchmark, value, decimals in rows:
        n = BENCHMARKS[benchmark].rows
        found[submission].append(
            BenchmarkScore(
                benchmark, float(value), round(float(value) * n), n, n, 0, "declared", False, (), decimals
            )
        )
    order = _order(PUBLIC)
    return {submission: _in_order(scores, order) for submission, scores in found.items()}


def _flags(chosen: Any) -> dict[int, list[Flag]]:
    """By submission: what was found against an imported entry's scores."""
    found: dict[int, list[Flag]] = defaultdict(list)
    rows = Finding.objects.filter(
        submission__in=chosen,
        submission__kind=Submission.Kind.IMPORTED,
        severity=Severity.WARNING.value,
    ).values_list("submission_id", "location", "message")
    for submission, location, message in rows:
        found[submission].append(Flag(location, message))
    return found


def _costs(chosen: Any) -> dict[int, dict[str, Cost]]:
    """By submission: the best known figure of each kind of resource."""
    best: dict[int, dict[str, Cost]] = defaultdict(dict)
    rows = Resource.objects.filter(submission__in=chosen).order_by()
    known: dict[int, dict[tuple[str, str], float]] = defaultdict(dict)
    for submission, kind, value, basis in rows.values_list("submission_id", "kind", "value", "basis"):
        known[submission][kind, basis] = value
        earlier = best[submission].get(kind)
        if earlier is None or _BASES[basis] > _BASES[earlier.basis]:
            best[submission][kind] = Cost(value, basis)
    for submission, figures in known.items():
        if both := communication(figures):
            best[submission][_BOTH] = both
    # In one order, as a board's version tells of it: which row the database reads first is its choice.
    return {submission: dict(sorted(figures.items())) for submission, figures in best.items()}


def communication(figures: Mapping[tuple[str, str], float]) -> Cost | None:
    """Both directions together: one total, or the sum of up and down on the same basis, the best there is."""
    for basis in sorted(_BASES, key=_BASES.__getitem__, reverse=True):
        if (_BOTH, basis) in figures:
            return Cost(figures[_BOTH, basis], basis)
        parts = [figures.get((direction, basis)) for direction in _DIRECTIONS]
        if parts[0] is not None and parts[1] is not None:
            return Cost(parts[0] + parts[1], basis)
    return None


def _entry(
    row: Sequence[Any],
    judged: _Judged,
    costs: Mapping[str, Cost],
    models: Mapping[str, _Model],
) -> Entry:
    pk, challenge, method, team, team_id, *base = row[:9]
    kind, card, checkpoint, published_at, source_date, source_place, source_url, repeats, _ = row[9:]
    base_model, hub_id, parameters, licence = _known_by_name(base[1], models) or base
    card = card or {}
    name = hub_id.rpartition("/")[2]
    return Entry(
        id=pk,
        challenge=challenge,
        method=method,
        team=team,
        team_id=team_id,
        base_model=name,
        hub_id=hub_id,
        base_model_id=base_model,
        family=family_of(hub_id),
        parameters=parameters or named_size(name),
        size_by_name=not parameters,
        kind=kind,
        trust=judged.trust or _trust(kind),
        flags=judged.flags,
        evaluation=judged.evaluation[0] if judged.evaluation else None,
        protocol=judged.evaluation[1] if judged.evaluation else 0,
        precision=(judged.evaluation[2] or "") if judged.evaluation else "",
        scores=tuple(judged.scores),
        resources=costs,
        strategy=strategy_title(card.get("strategy")),
        peft=_peft(card.get("peft_type"), card.get("use_dora"))
        or (kinds.LORA.title if card.get("rank") else ""),
        rank=card.get("rank"),
        rounds=card.get("rounds"),
        clients=card.get("clients"),
        clients_per_round=card.get("clients_per_round"),
        adapted=checkpoint is not None or kind == Submission.Kind.IMPORTED,
        published_at=published_at,
        source_date=source_date,
        source_place=source_place,
        source_url=source_url,
        licence=licence,
        repeats=repeats,
    )


_peft = lru_cache(maxsize=256)(kinds.title)


def _left_since(entry: Entry, status: str) -> Entry:
    """An entry of a past board as it may be told today: who withdrew one is nobody's business any more."""
    if status not in _LEFT:
        return entry
    left = replace(entry, left=status)
    return left if left.has_page else replace(left, team="", team_id=0)


def _models() -> dict[str, _Model]:
    """The models of the hub by their own name in small letters, where only one has it."""
    found: dict[str, list[_Model]] = defaultdict(list)
    for model in BaseModel.objects.filter(hub_id__contains="/").values_list(
        "pk", "hub_id", "parameters", "licence"
    ):
        found[model[1].rpartition("/")[2].casefold()].append(model)
    return {name: same[0] for name, same in found.items() if len(same) == 1}


def _known_by_name(hub_id: str, models: Mapping[str, _Model]) -> _Model | None:
    """The model of the hub that an imported entry means, which gives no more than a name."""
    return None if "/" in hub_id else models.get(hub_id.casefold())


def _trust(kind: str) -> Trust:
    if kind == Submission.Kind.IMPORTED:
        return Trust.DECLARED
    return Trust.REFERENCE if kind == Submission.Kind.REFERENCE else Trust.EVALUATED
