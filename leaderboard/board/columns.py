"""The columns of a board in their order: what each holds, in which unit, and how it is written and chosen by.

A column is added here and nowhere else: page, form, files, comparison and API read it from its object.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, time
from functools import cache

from evaluation import rules
from evaluation.benchmarks import BENCHMARKS
from evaluation.energy import JOULES_PER_KWH, points_per_kilowatt_hour
from evaluation.method.communication import GB
from evaluation.rules.challenges import CHALLENGES
from evaluation.rules.protocol import PROTOCOLS
from evaluation.statistics import Interval
from leaderboard.board.beside import BESIDE
from leaderboard.board.column import ApiField, Column, Facet, Field, Group
from leaderboard.figures import billions, gigabytes, hours, kilowatt_hours, large, percent, signed_points
from leaderboard.standing.entries import Cost, Entry, Standing, Trust


def columns_of(challenge: str, protocol: int) -> tuple[Column, ...]:
    """All columns of a challenge's board under a protocol in their order."""
    return (*FIRST, *map(_score, rules.of(challenge, protocol).benchmarks), *REST)


def by_key() -> dict[str, Column]:
    """Every column of any board; `columns_of` has those of one in their order."""
    boards = ((challenge, protocol) for challenge in CHALLENGES for protocol in PROTOCOLS)
    return {column.key: column for board in boards for column in columns_of(*board)}


def facets_by_name() -> dict[str, Facet]:
    """In the order of their columns, those of which all values are known last."""
    found = [column.facet for column in by_key().values() if column.facet]
    return {facet.name: facet for facet in sorted(found, key=lambda facet: bool(facet.values))}


def limited() -> list[Column]:
    """The columns of which a reader may set an upper bound."""
    return [column for column in by_key().values() if column.limit is not None]


def costs() -> list[Column]:
    """The columns of what a training cost."""
    return [column for column in REST if column.group is Group.COST]


def rank_text(standing: Standing) -> str:
    """The ranks that an entry may have, like 2–5; its rank by the mean alone where no test was possible."""
    found = standing.rank_range
    if found is None:
        return "" if standing.rank is None else str(standing.rank)
    return f"{found.best}–{found.worst}" if found.tied else str(found.best)


def _published(standing: Standing) -> datetime | None:
    entry = standing.entry
    if entry.kind != "imported":
        return entry.published_at
    return datetime.combine(entry.day, time(), UTC) if entry.day else None


def size_text(entry: Entry) -> str:
    """The size of the base model; a sign before it where only its name states it."""
    size = billions(entry.parameters)
    return f"≈{size}" if size and entry.size_by_name else size


def _clients(standing: Standing) -> str:
    entry = standing.entry
    if entry.clients is None:
        return ""
    return f"{entry.clients_per_round} of {entry.clients}" if entry.clients_per_round else f"{entry.clients}"


def _peft(standing: Standing) -> str:
    entry = standing.entry
    return f"{entry.peft} r{entry.rank}" if entry.peft and entry.rank else entry.peft


def _count(value: int | None) -> str:
    return "" if value is None else f"{value:,}"


@cache
def _score(slug: str) -> Column:
    benchmark = BENCHMARKS[slug]

    def value(standing: Standing) -> float | None:
        score = standing.entry.by_benchmark.get(slug)
        return score.value if score else None

    def text(standing: Standing) -> str:
        score = standing.entry.by_benchmark.get(slug)
        return str(score.percent) if score and score.value is not None else ""

    def interval(standing: Standing) -> Interval | None:
        score = standing.entry.by_benchmark.get(slug)
        return score.interval if score and slug not in standing.entry.flagged else None

    return Column(
        slug, benchmark.title, value, text, "%", "1", "score-cell", Group.SCORE, interval=interval,
        falls=True, meaning=f"{benchmark.title}, with its 95% interval",
    )  # fmt: skip


@dataclass(frozen=True)
class _Quantity:
    """How a kind of cost is written: in `unit`, which has so many of the `si_unit`."""

    text: Callable[[float | None], str | None]
    unit: str
    si_unit: str
    factor: float = 1.0


_BYTES = _Quantity(gigabytes, "GB", "B", GB)
_SECONDS = _Quantity(hours, "h", "s", 3600.0)
_JOULES = _Quantity(kilowatt_hours, "kWh", "J", JOULES_PER_KWH)
_PARAMETERS = _Quantity(large, "", "parameters")


def _cost(
    kind: str,
    title: str,
    quantity: _Quantity,
    meaning: str = "",
    *,
    shown: bool = True,
    limited: bool = False,
    api: ApiField | None = None,
) -> Column:
    """The column of a kind of resource; if it is `limited` readers may set an upper bound."""

    def cost(standing: Standing) -> Cost | None:
        return standing.entry.resources.get(kind)

    return Column(
        kind,
        title,
        lambda standing: found.value if (found := cost(standing)) else None,
        lambda standing: quantity.text(found.value) or "" if (found := cost(standing)) else "",
        quantity.unit,
        quantity.si_unit,
        group=Group.COST,
        basis=lambda standing: found.basis if (found := cost(standing)) else "",
        shown=shown,
        meaning=meaning,
        limit=quantity.factor if limited else None,
        api=api,
    )


def _training_energy(standing: Standing) -> Cost | None:
    """What a gain is divided by: above idle where that was measured, else as it was declared."""
    resources = standing.entry.resources
    gross = resources.get("energy")
    return resources.get("energy_net") or (gross if gross and gross.basis == "declared" else None)


def _points_per_kwh(standing: Standing) -> float | None:
    energy, gain = _training_energy(standing), standing.entry.gain
    if energy is None or gain is None:
        return None
    return points_per_kilowatt_hour(gain, energy.value)


def _joules_an_answer(standing: Standing) -> float | None:
    found = standing.entry.answer_energy
    return found.joules if found else None


def _meter(entry: Entry) -> str:
    return entry.answer_energy.counters if entry.answer_energy else ""


def _rank_limit(end: str) -> Field[Standing]:
    def value(standing: Standing) -> int | None:
        found = standing.rank_range
        return None if found is None else found.best if end == "best" else found.worst

    meaning = f"By the paired tests: the {end} rank that it may have"
    return Field(f"rank_{end}", "count", value, meaning=meaning)


FIRST = (
    Column(
        "rank",
        "#",
        lambda s: s.rank,
        rank_text,
        style="rank",
        holds="count",
        meaning="The ranks the entry may have: entries that the items cannot tell apart share some",
        exported=(
            Field("rank", "count", lambda s: s.rank, meaning="By the mean; equal means share one"),
            _rank_limit("best"),
            _rank_limit("worst"),
        ),
        api=ApiField("rank", "By the average; equal ones share it"),
    ),
    Column(
        "method",
        "Method",
        lambda s: s.entry.method,
        lambda s: s.entry.method,
        style="method",
        holds="text",
        api=ApiField("method"),
    ),
    Column(
        "team",
        "Team",
        lambda s: s.entry.team or None,
        lambda s: s.entry.team,
        style="model",
        shown=False,
        holds="text",
        api=ApiField("team", "Empty where the entry was withdrawn since"),
    ),
    Column(
        "trust",
        "Trust",
        lambda s: s.entry.trust.value,
        lambda s: s.entry.trust,
        style="model",
        shown=False,
        holds="text",
        facet=Facet("trust", "Trust", lambda entry: entry.trust.value, tuple(trust.value for trust in Trust)),
        api=ApiField("trust"),
    ),
    Column(
        "base_model",
        "Base model",
        lambda s: s.entry.base_model,
        lambda s: s.entry.base_model,
        style="model",
        holds="text",
        facet=Facet("family", "Base model", lambda entry: entry.family),
        api=ApiField("base_model"),
    ),
    Column(
        "size",
        "Size",
        lambda s: s.entry.parameters,
        lambda s: size_text(s.entry),
        si_unit="parameters",
        shown=False,
        holds="count",
        meaning="Parameters of the base model; ≈ where only its name states them",
    ),
    Column(
        "licence",
        "Licence",
        lambda s: s.entry.licence or None,
        lambda s: s.entry.licence,
        style="model",
        shown=False,
        holds="text",
        meaning="Of the base model",
        facet=Facet("licence", "Licence", lambda entry: entry.licence),
    ),
    Column(
        "average",
        "Average",
        lambda s: s.entry.average,
        lambda s: percent(s.entry.average),
        "%",
        "1",
        "mean",
        Group.SCORE,
        interval=lambda s: None if s.entry.flags else s.entry.interval,
        falls=True,
        meaning="The plain mean over the benchmarks, with its 95% interval",
        api=ApiField("average", interval="average_interval"),
    ),
)
"""What stands before the scores of the benchmarks."""
REST = (
    Column(
        "gain",
        "Gain",
        lambda s: s.entry.gain,
        lambda s: signed_points(s.entry.gain) or "",
        "points",
        "1",
        group=Group.SCORE,
        interval=lambda s: s.entry.gain_interval,
        difference=True,
        falls=True,
        meaning="Average less that of the untuned base model, evaluated here in the same way",
        api=ApiField("gain", "Average less that of the untuned base model"),
    ),
    *BESIDE,
    Column(
        "strategy",
        "Strategy",
        lambda s: s.entry.strategy or None,
        lambda s: s.entry.strategy,
        style="model",
        holds="text",
        facet=Facet("strategy", "Strategy", lambda entry: entry.strategy),
        api=ApiField("strategy"),
    ),
    Column(
        "peft",
        "PEFT",
        lambda s: s.entry.peft or None,
        _peft,
        style="model",
        holds="text",
        meaning="Kind of adapter and its rank",
        facet=Facet("peft", "PEFT", lambda entry: entry.peft),
        api=ApiField("peft"),
    ),
    Column(
        "adapter_rank",
        "Adapter rank",
        lambda s: s.entry.rank,
        lambda s: _count(s.entry.rank),
        shown=False,
        holds="count",
    ),
    _cost(
        "communication",
        "Communication",
        _BYTES,
        "Both directions, all rounds",
        limited=True,
        api=ApiField("communication_bytes", "Both directions"),
    ),
    _cost(
        "client_vram",
        "Client VRAM",
        _BYTES,
        "Peak GPU memory of a client",
        limited=True,
        api=ApiField("client_memory_bytes"),
    ),
    _cost("server_vram", "Server VRAM", _BYTES, shown=False, limited=True),
    _cost("gpu_time", "GPU hours", _SECONDS, limited=True),
    _cost("wall_time", "Wall time", _SECONDS, shown=False, api=ApiField("time_seconds")),
    _cost("client_rss", "Client memory", _BYTES, "Peak main memory", shown=False),
    _cost("server_rss", "Server memory", _BYTES, "Peak main memory", shown=False),
    _cost("energy", "Energy", _JOULES, "Of the training, the idle draw of its devices included", shown=False),
    _cost(
        "energy_net",
        "Energy above idle",
        _JOULES,
        "Of the training, less what idle devices draw",
        shown=False,
    ),
    Column(
        "points_per_kwh",
        "Points per kWh",
        _points_per_kwh,
        lambda s: f"{found:+.3g}" if (found := _points_per_kwh(s)) is not None else "",
        "points/kWh",
        "points/kWh",
        group=Group.COST,
        basis=lambda s: found.basis if (found := _training_energy(s)) else "",
        shown=False,
        falls=True,
        meaning="The gain over the untuned base model for each kWh of its training, above idle if measured",
    ),
    Column(
        "answer_energy",
        "Energy an answer",
        _joules_an_answer,
        lambda s: f"{joules:.3g}" if (joules := _joules_an_answer(s)) is not None else "",
        "J",
        "J",
        shown=False,
        meaning="Of the evaluation here, above idle, for each item; compare only what one meter told",
        facet=Facet("meter", "Energy meter", _meter),
        exported=(
            Field(
                "answer_energy", "number", _joules_an_answer, "J", "Of the evaluation, above idle, an item"
            ),
            Field(
                "answer_energy_meter", "text", lambda s: _meter(s.entry) or None, meaning="With its devices"
            ),
        ),
        api=ApiField("answer_energy_joules", "Of the evaluation, above idle, for each item; null if unknown"),
    ),
    _cost("trainable_parameters", "Trained parameters", _PARAMETERS, shown=False),
    Column(
        "runs",
        "Runs",
        lambda s: len(s.entry.runs) or (1 if s.entry.protocol else None),
        lambda s: _count(len(s.entry.runs) or (1 if s.entry.protocol else None)),
        shown=False,
        holds="count",
        meaning="That differ in the seed; the scores are their mean",
        facet=Facet("runs", "Runs", lambda entry: "several" if entry.runs else "one"),
        api=ApiField(
            "runs", "That differ in the seed; scores are their mean, intervals cover seeds and items"
        ),
    ),
    Column(
        "rounds",
        "Rounds",
        lambda s: s.entry.rounds,
        lambda s: _count(s.entry.rounds),
        shown=False,
        holds="count",
    ),
    Column(
        "clients",
        "Clients",
        lambda s: s.entry.clients,
        _clients,
        shown=False,
        holds="count",
        meaning="Clients a round, of all",
    ),
    Column(
        "date",
        "Published",
        _published,
        lambda s: s.entry.day.isoformat() if s.entry.day else "",
        falls=True,
        holds="moment",
        meaning="Of a declared entry the day that its source gives, if any",
    ),
)
"""What stands behind them."""
