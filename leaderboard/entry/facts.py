"""What an entry's page says beyond its row of the board: places, costs by their sources, evaluations."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import median
from typing import Any

from evaluation.benchmarks import BENCHMARKS, Benchmark
from evaluation.energy import Spread
from evaluation.federated.presets import PRESETS
from evaluation.method.card import MethodCard
from evaluation.method.communication import RELATIVE_TOLERANCE
from evaluation.method.row_form import columns_of
from evaluation.rules.challenges import Challenge
from evaluation.rules.protocol import FOUR_BIT
from leaderboard.charts.inputs import Peers
from leaderboard.entry.benchmark import right_at
from leaderboard.figures import kilowatt_hours
from leaderboard.reading import energy, items
from leaderboard.reading.items import GroupScore
from leaderboard.reading.queries import communication
from leaderboard.reading.snapshots import Snapshot
from leaderboard.standing.entries import BenchmarkScore, Entry, Standing, Track
from portal.runs.items import ItemsMissingError
from portal.runs.models import Evaluation, Score
from portal.submissions.models import Resource

_BASES = (Resource.Basis.DECLARED, Resource.Basis.DERIVED, Resource.Basis.MEASURED)


@dataclass(frozen=True)
class Place:
    """A place by score among `of` entries; equal scores share one."""

    place: int
    of: int


@dataclass(frozen=True)
class ScoreRow:
    """A benchmark's score with its place, and the score without the items that the training set holds too."""

    benchmark: Benchmark
    score: BenchmarkScore
    place: Place | None
    without_leaked: float | None
    subjects: tuple[GroupScore, ...]
    has_items: bool


@dataclass(frozen=True)
class EvaluationRow:
    """An evaluation that was finished; `counts`: the board of its protocol shows this one."""

    evaluation: Evaluation
    average: float | None
    counts: bool
    versions: tuple[tuple[str, str], ...]

    @property
    def engine(self) -> str:
        return engine_in_words(self.evaluation.provenance.get("engine", {}))


@dataclass(frozen=True)
class ProtocolsRow:
    """A benchmark with the score under each protocol, None where it does not ask it."""

    benchmark: Benchmark
    scores: tuple[BenchmarkScore | None, ...]


@dataclass(frozen=True)
class SideBySide:
    """An entry's standings under several protocols, and their scores by benchmark."""

    standings: tuple[Standing, ...]
    rows: tuple[ProtocolsRow, ...]


@dataclass(frozen=True)
class ResourceRow:
    """A cost as each source has it, None where it is silent; `median` is that of the board's entries, and
    `disagreement` a sentence or ""."""

    kind: str
    title: str
    unit: str
    declared: float | None
    derived: float | None
    measured: float | None
    median: float | None
    disagreement: str


@dataclass(frozen=True)
class Setting:
    """A setting in the official template and in this entry, "" where it is not stated."""

    label: str
    template: str
    here: str

    @property
    def differs(self) -> bool:
        return bool(self.template and self.here) and self.template != self.here


def peers_of(standing: Standing, board: Snapshot) -> list[Entry]:
    """What an entry may be held against: its track in its precision, without flagged and incomplete ones."""
    return [
        other.entry
        for other in board.standings
        if (other.rank is not None or (other.track is Track.DECLARED and not other.entry.flags))
        and (other.track, other.entry.precision) == (standing.track, standing.entry.precision)
    ]


def profile_peers(entry: Entry, peers: Sequence[Entry]) -> Peers:
    untuned = (other for other in peers if not other.adapted and other.hub_id == entry.hub_id)
    best = {
        slug: max(scored, key=lambda other: other.by_benchmark[slug].value or 0.0)
        for slug in entry.by_benchmark
        if (scored := [other for other in peers if slug in other.by_benchmark])
    }
    return Peers(next(untuned, None), best)


def places(entry: Entry, peers: Sequence[Entry]) -> dict[str, Place]:
    """By benchmark the place among all; none where the entry is not among them."""
    if entry.id not in {other.id for other in peers}:
        return {}
    found = {}
    for slug, score in entry.by_benchmark.items():
        values = [other.by_benchmark[slug].value or 0.0 for other in peers]
        found[slug] = Place(1 + sum(value > (score.value or 0.0) for value in values), len(values))
    return found


def score_rows(entry: Entry, evaluation: Evaluation, found: Mapping[str, Place]) -> list[ScoreRow]:
    stored = {score.benchmark: score for score in evaluation.scores.all()}
    return [_score_row(score, stored[score.benchmark], found) for score in entry.scores]


def evaluation_rows(evaluations: Sequence[Evaluation]) -> list[EvaluationRow]:
    """All finished ones, of which the first under each protocol counts."""
    counting = {one.protocol: one for one in reversed(evaluations)}
    return [
        EvaluationRow(one, _average(one.scores.all()), one == counting[one.protocol], _versions(one))
        for one in evaluations
    ]


def side_by_side(standings: Sequence[Standing]) -> SideBySide | None:
    """In rising order of the protocols; None of one alone."""
    if len(standings) < 2:
        return None
    ordered = sorted(standings, key=lambda standing: standing.entry.protocol)
    benchmarks = dict.fromkeys(score.benchmark for s in ordered for score in s.entry.scores)
    rows = [
        ProtocolsRow(BENCHMARKS[slug], tuple(s.entry.by_benchmark.get(slug) for s in ordered))
        for slug in benchmarks
    ]
    return SideBySide(tuple(ordered), tuple(rows))


def resource_rows(resources: Iterable[Resource], peers: Iterable[Entry]) -> list[ResourceRow]:
    """A row a kind; both directions of the communication together come first."""
    usual = _medians(peers)
    known = {(resource.kind, resource.basis): resource.value for resource in resources}
    kinds = list(dict.fromkeys(kind for kind, _ in known))
    both = Resource.Kind.COMMUNICATION.value
    directions = {Resource.Kind.COMMUNICATION_UP.value, Resource.Kind.COMMUNICATION_DOWN.value}
    if directions <= set(kinds) and both not in kinds:
        kinds.insert(0, both)
    return [
        _resource_row(kind, known, usual.get(kind)) for kind in sorted(kinds, key=lambda kind: kind != both)
    ]


def _medians(peers: Iterable[Entry]) -> dict[str, float]:
    """Of each kind of cost over the entries that a figure of it is known of."""
    known: dict[str, list[float]] = {}
    for peer in peers:
        for kind, cost in peer.resources.items():
            known.setdefault(kind, []).append(cost.value)
    return {kind: median(values) for kind, values in known.items()}


def evaluation_costs(evaluation: Evaluation, others: Sequence[Evaluation] = ()) -> list[tuple[str, str]]:
    """Speed and energy of an evaluation's scores together, and how well the energy repeats in `others`, which
    may have it among them; the energy in words where no meter told it."""
    scores = list(evaluation.scores.all())
    rates = [(score.tokens, score.tokens_per_second) for score in scores if score.tokens_per_second]
    facts = []
    if rates:
        seconds = sum(tokens / rate for tokens, rate in rates)
        facts.append(("Tokens a second", f"{sum(tokens for tokens, _ in rates) / seconds:,.0f}"))
    metered = [score.energy_joules for score in scores if score.energy_joules is not None]
    methods = " and ".join(sorted({score.energy_method for score in scores if score.energy_method}))
    if not metered or len(metered) < len(scores):
        return [*facts, ("Energy", f"not measured: {methods or 'no meter'}")]
    facts.append(("Energy", f"{kilowatt_hours(sum(metered))} kWh"))
    if each := energy.answer_energy(scores):
        facts.append(("Above idle", f"{kilowatt_hours(each.joules * sum(score.n for score in scores))} kWh"))
        facts.append(("Above idle, an answer", f"{each.joules:.3g} J"))
        again = [one for one in others if one != evaluation and _conditions(one) == _conditions(evaluation)]
        spread = energy.repeated([each, *(energy.answer_energy(one.scores.all()) for one in again)])
        if spread:
            facts.append(("Measured again", spread_in_words(spread)))
    return [*facts, ("Meter", methods)] if methods else facts


def _conditions(evaluation: Evaluation) -> tuple[object, ...]:
    provenance = evaluation.provenance
    return evaluation.protocol, provenance.get("precision"), provenance.get("engine", {}).get("name")


def spread_in_words(spread: Spread) -> str:
    """How far measurements of one thing lie apart."""
    apart = "" if spread.relative is None else f", standard deviation {100 * spread.relative:.1f}%"
    return f"{spread.number} times{apart}"


def settings_diff(card: MethodCard, challenge: Challenge) -> list[Setting]:
    """The entry's settings beside those of the challenge's official template; all that either states."""
    official = template_card(challenge)
    if card.dropout is None:  # the apps have it in their code, as they have the kind of 4-bit
        official = replace(official, dropout=None)
    if card.quantization_type is None:
        official = replace(official, quantization_type=None)
    here, template = dict(card.rows()), dict(official.rows())
    here.pop("Base model", None)  # everybody's own choice
    return [
        Setting(label, template.get(label, ""), here.get(label, ""))
        for label in dict.fromkeys([*template, *here])
    ]


def engine_in_words(engine: Mapping[str, Any]) -> str:
    """An evaluation's engine, as its provenance has it: name, version, and whether batches change bits."""
    name = f"{engine.get('name', '')} {engine.get('version', '')}".strip()
    if engine.get("batch_invariant") is None:  # of an evaluation before this was written down
        return name
    return f"{name}, {'' if engine['batch_invariant'] else 'no '}batch-invariant kernels"


def template_card(challenge: Challenge) -> MethodCard:
    """The official template of a challenge as a method card."""
    preset = PRESETS[challenge.slug].of(challenge)
    precision = preset["precision"]
    return MethodCard(
        static_dataset=challenge.training_sets[0],
        strategy=preset["strategy"],
        clients=preset["clients"],
        clients_per_round=preset["clients_per_round"],
        rounds=preset["rounds"],
        local_steps=preset["local_steps"],
        batch_size=preset["batch_size"],
        sequence_length=preset["sequence_length"],
        learning_rate_max=preset["learning_rate"],
        learning_rate_min=preset["learning_rate_min"],
        rank=preset["rank"],
        alpha=preset["alpha"],
        dropout=preset["dropout"],
        target_modules=tuple(preset["target_modules"]),
        quantization_type=precision,
        template=preset["template"],
        instruction_columns=columns_of(challenge.slug),
        quantization=4 if precision in FOUR_BIT else 0,
    )


def _score_row(score: BenchmarkScore, stored: Score, found: Mapping[str, Place]) -> ScoreRow:
    benchmark = BENCHMARKS[score.benchmark]
    return ScoreRow(
        benchmark=benchmark,
        score=score,
        place=found.get(score.benchmark),
        without_leaked=_without_leaked(benchmark, stored),
        subjects=_subjects(benchmark, stored),
        has_items=bool(stored.items),
    )


def _without_leaked(benchmark: Benchmark, stored: Score) -> float | None:
    """None where nothing is known to be leaked, or the single answers were not kept."""
    bits = bytes(stored.correct_bits)
    is_official = stored.official and stored.n == benchmark.rows and 8 * len(bits) >= stored.n
    if not benchmark.leaked or not is_official:
        return None
    kept = stored.n - len(benchmark.leaked)
    return (stored.correct - right_at(bits, benchmark.leaked)) / kept


def _subjects(benchmark: Benchmark, stored: Score) -> tuple[GroupScore, ...]:
    if not benchmark.group_column:
        return ()
    try:
        return tuple(items.index_of(stored).by_group())
    except ItemsMissingError:
        return ()


def _average(scores: Iterable[Score]) -> float | None:
    values = [score.value for score in scores]
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known and len(known) == len(values) else None


def _versions(evaluation: Evaluation) -> tuple[tuple[str, str], ...]:
    """The packages that decide on what a model answers."""
    packages = evaluation.provenance.get("packages") or {}
    return tuple(
        (name, str(packages[name])) for name in ("torch", "transformers", "peft", "vllm") if name in packages
    )


def _resource_row(kind: str, known: Mapping[tuple[str, str], float], usual: float | None) -> ResourceRow:
    if kind == Resource.Kind.COMMUNICATION:
        declared, derived, measured = (_both_ways(known, basis) for basis in _BASES)
    else:
        declared, derived, measured = (known.get((kind, basis.value)) for basis in _BASES)
    shown = Resource.Kind(kind)
    return ResourceRow(
        kind=kind,
        title=str(shown.label),
        unit=Resource.UNITS[shown],
        declared=declared,
        derived=derived,
        measured=measured,
        median=usual,
        disagreement=_disagreement(declared, measured if measured is not None else derived),
    )


def _both_ways(known: Mapping[tuple[str, str], float], basis: str) -> float | None:
    cost = communication({pair: value for pair, value in known.items() if pair[1] == basis})
    return cost.value if cost else None


def _disagreement(declared: float | None, found: float | None) -> str:
    """By the tolerance of the finding on communication."""
    if (
        declared is None
        or found is None
        or abs(declared - found) <= RELATIVE_TOLERANCE * max(declared, found)
    ):
        return ""
    if not declared or not found:
        return "One of the figures is zero."
    ratio = max(declared, found) / min(declared, found)
    times = f"{ratio:,.0f}" if ratio >= 100 else f"{ratio:.3g}"
    return f"The declared figure is {times} times {'higher' if declared > found else 'lower'}."
