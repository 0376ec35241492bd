"""The columns of a board: what each holds, in which unit, and how it is written. Tables, exports and
comparisons are made of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, time
from types import MappingProxyType
from typing import Literal

from evaluation.benchmarks import BENCHMARKS
from evaluation.rules.challenges import CHALLENGES
from evaluation.statistics import Interval
from leaderboard.figures import billions, gigabytes, hours
from leaderboard.standing.entries import Cost, Entry, Standing

MINUS = "\N{MINUS SIGN}"
Value = float | int | str | datetime
Holds = Literal["number", "count", "text", "moment"]


@dataclass(frozen=True)
class Column:
    """One column. `value` is what is sorted and exported: in `si_unit`, None where nothing is known; `holds`
    says of which kind it is.

    `text` is how a person reads it, in `unit`, "" where nothing is known; `basis` says how a cost is known,
    `interval` is the 95% interval of a score in the unit of `value`, None of an impossible one. `style` is
    the class of its cells, `group` the head that it stands under. `falls`: the highest value comes first when
    one sorts by it.
    `shown`: it is there unless the reader hides it, or no entry has a value.
    """

    key: str
    title: str
    value: Callable[[Standing], Value | None]
    text: Callable[[Standing], str]
    unit: str = ""
    si_unit: str = ""
    style: str = "cost"
    group: str = ""
    basis: Callable[[Standing], str] = lambda _: ""
    interval: Callable[[Standing], Interval | None] = lambda _: None
    falls: bool = False
    shown: bool = True
    meaning: str = ""
    holds: Holds = "number"

    @property
    def heading(self) -> str:
        """Title and unit, as a label needs them."""
        return f"{self.title}, {self.unit}" if self.unit else self.title


def columns_of(challenge: str) -> tuple[Column, ...]:
    """All columns of a challenge's board in their order."""
    return _COLUMNS_OF[challenge]


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


def _percent(fraction: float | None) -> str:
    return "" if fraction is None else f"{100 * fraction:.2f}"


def _gain(standing: Standing) -> str:
    gain = standing.entry.gain
    return "" if gain is None else f"{100 * gain:+.2f}".replace("-", MINUS)


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


def _large(value: float | None) -> str:
    """A number of parameters: 13.6M."""
    if value is None:
        return ""
    for letter, factor in (("B", 1e9), ("M", 1e6), ("K", 1e3)):
        if value >= factor:
            return f"{value / factor:.1f}{letter}"
    return f"{value:.0f}"


def _energy(joules: float | None) -> str:
    return "" if joules is None else f"{joules / 3.6e6:.3g}"


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
        slug, benchmark.title, value, text, "%", "1", "score-cell", "Accuracy", interval=interval, falls=True,
        meaning=f"{benchmark.title}, with its 95% interval",
    )  # fmt: skip


def _cost(
    kind: str,
    title: str,
    text: Callable[[float | None], str | None],
    unit: str,
    si_unit: str,
    *,
    shown: bool = True,
    meaning: str = "",
) -> Column:
    def cost(standing: Standing) -> Cost | None:
        return standing.entry.resources.get(kind)

    return Column(
        kind,
        title,
        lambda standing: found.value if (found := cost(standing)) else None,
        lambda standing: text(found.value) or "" if (found := cost(standing)) else "",
        unit,
        si_unit,
        group="Cost of the training",
        basis=lambda standing: found.basis if (found := cost(standing)) else "",
        shown=shown,
        meaning=meaning,
    )


_FIRST = (
    Column(
        "rank",
        "#",
        lambda s: s.rank,
        rank_text,
        style="rank",
        holds="count",
        meaning="The ranks the entry may have: entries that the items cannot tell apart share some",
    ),
    Column(
        "method",
        "Method",
        lambda s: s.entry.method,
        lambda s: s.entry.method,
        style="method",
        holds="text",
    ),
    Column(
        "team",
        "Team",
        lambda s: s.entry.team or None,
        lambda s: s.entry.team,
        style="model",
        shown=False,
        holds="text",
    ),
    Column(
        "trust",
        "Trust",
        lambda s: s.entry.trust.value,
        lambda s: s.entry.trust,
        style="model",
        shown=False,
        holds="text",
    ),
    Column(
        "base_model",
        "Base model",
        lambda s: s.entry.base_model,
        lambda s: s.entry.base_model,
        style="model",
        holds="text",
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
)
_SCORES = (
    Column(
        "average",
        "Average",
        lambda s: s.entry.average,
        lambda s: _percent(s.entry.average),
        "%",
        "1",
        "mean",
        interval=lambda s: None if s.entry.flags else s.entry.interval,
        falls=True,
        meaning="The plain mean over the benchmarks, with its 95% interval",
    ),
    Column(
        "gain",
        "Gain",
        lambda s: s.entry.gain,
        _gain,
        "points",
        "1",
        falls=True,
        meaning="Average less that of the untuned base model, evaluated here in the same way",
    ),
)
_TRAINING = (
    Column(
        "strategy",
        "Strategy",
        lambda s: s.entry.strategy or None,
        lambda s: s.entry.strategy,
        style="model",
        holds="text",
    ),
    Column(
        "peft",
        "PEFT",
        lambda s: s.entry.peft or None,
        _peft,
        style="model",
        holds="text",
        meaning="Kind of adapter and its rank",
    ),
    Column(
        "adapter_rank",
        "Adapter rank",
        lambda s: s.entry.rank,
        lambda s: _count(s.entry.rank),
        shown=False,
        holds="count",
    ),
)
_COSTS = (
    _cost("communication", "Communication", gigabytes, "GB", "B", meaning="Both directions, all rounds"),
    _cost("client_vram", "Client VRAM", gigabytes, "GB", "B", meaning="Peak GPU memory of a client"),
    _cost("server_vram", "Server VRAM", gigabytes, "GB", "B", shown=False),
    _cost("gpu_time", "GPU hours", hours, "h", "s"),
    _cost("wall_time", "Wall time", hours, "h", "s", shown=False),
    _cost("client_rss", "Client memory", gigabytes, "GB", "B", shown=False, meaning="Peak main memory"),
    _cost("server_rss", "Server memory", gigabytes, "GB", "B", shown=False, meaning="Peak main memory"),
    _cost("energy", "Energy", _energy, "kWh", "J", shown=False),
    _cost("trainable_parameters", "Trained parameters", _large, "", "parameters", shown=False),
)
_LAST = (
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

_COLUMNS_OF: Mapping[str, tuple[Column, ...]] = {
    challenge.slug: (
        *_FIRST,
        _SCORES[0],
        *map(_score, challenge.benchmarks),
        _SCORES[1],
        *_TRAINING,
        *_COSTS,
        *_LAST,
    )
    for challenge in CHALLENGES.values()
}
COLUMNS: Mapping[str, Column] = MappingProxyType(
    {column.key: column for columns in _COLUMNS_OF.values() for column in columns}
)
"""Every column of any board by its key; `columns_of` has those of one in their order."""
