"""What a board holds: published entries with their scores and costs, and the place of each. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from functools import cached_property

from evaluation.rules.challenges import CHALLENGES
from evaluation.statistics import Interval, RankRange, mean_interval, wilson_interval
from leaderboard.standing.energy import NetEnergy
from leaderboard.standing.leakage import LeakageFigure
from leaderboard.standing.transfer import DomainChange, WorstChange, worst_of


class Track(StrEnum):
    """Entries of one track were scored in the same way; tracks are never mixed. The most telling is first."""

    OFFICIAL = "official"
    UNOFFICIAL = "unofficial"
    DECLARED = "declared"
    DEMONSTRATION = "demonstration"


class Trust(StrEnum):
    """What stands behind an entry's scores, the least first."""

    DECLARED = "declared"
    EVALUATED = "evaluated"
    NOT_REPRODUCED = "not reproduced"
    REPRODUCED = "reproduced"
    REFERENCE = "reference"


@dataclass(frozen=True, slots=True)
class Flag:
    """What speaks against a score: the benchmark's slug and the sentence."""

    benchmark: str
    message: str


@dataclass(frozen=True, slots=True)
class BenchmarkScore:
    """A score as a fraction of the `n - unscored` scored items; `available` are those of the whole benchmark.

    `data` is "official", "demonstration", "other" or, of a score that nobody evaluated here, "declared": then
    `value` is as it was printed, with so many `decimals` of the percentage, and `correct` the nearest number
    of items, from which the binomial interval is made. So it is for a mean over runs, with its interval
    `over_seeds`.
    """

    benchmark: str
    value: float | None
    correct: int
    n: int
    available: int
    unscored: int
    data: str
    official: bool
    reasons: tuple[str, ...]
    decimals: int | None = None
    over_seeds: Interval | None = None

    @property
    def interval(self) -> Interval | None:
        """The 95% Wilson interval over the scored items; of a mean over runs that over items and seeds."""
        if self.over_seeds:
            return self.over_seeds
        scored = self.n - self.unscored
        return wilson_interval(self.correct, scored) if scored else None

    @property
    def percent(self) -> Decimal | None:
        """In per cent with the decimals of a declared score, else with two."""
        if self.value is None:
            return None
        places = 2 if self.decimals is None else self.decimals
        return (100 * Decimal(repr(self.value))).quantize(Decimal(1).scaleb(-places))


@dataclass(frozen=True, slots=True)
class Cost:
    """What something cost, in SI units, and how that is known: "measured", "derived" or "declared"."""

    value: float
    basis: str


@dataclass(frozen=True, slots=True)
class SeedRun:
    """One of the runs that an entry is the mean of: its submission, its average as a fraction, and the
    evaluation that this is from."""

    id: int
    average: float
    evaluation: int | None = None


@dataclass(frozen=True)
class Entry:
    """A published submission with the evaluation that counts; `scores` in the challenge's order.

    `resources` hold the best known figure of each kind of `portal.submissions.models.Resource.Kind` (measured
    before derived before declared), where "communication" is both directions together. `protocol` is 0 where
    nothing was evaluated. `parameters` are the base model's: known from its files, else from its name.
    `peft` is "LoRA", "DoRA" …, or "" where the configuration does not say. `gain` is the average less that of
    the untuned base model, as a fraction, None where that was not evaluated under the same conditions.
    `published_at` is when this site published it, `source_date`, `source_place` and `source_url` the day, the
    place and the address that an imported one's source gives; `licence` is the base model's.
    `gain_interval` is the gain's 95% interval, from the items that both answered. `left` says of an entry of
    a past board what became of it since: "withdrawn", when it stands without its team ("", 0) and has no page
    any more, or "disqualified". `repeats` is the first run of its method, where it is a further one. An entry
    with several `runs`, which differ in the seed alone, has the means over them; `spread` is the standard
    deviation of their averages and `over_seeds` the interval of the average. `transfer` are the changes
    against the base model on the domains that it was measured on, its own among them. `answer_energy` is that
    of an answer, on the mean over all benchmarks; of several runs the first one's. `evaluation` is the number
    of the evaluation that counts.
    """

    id: int
    challenge: str
    method: str
    team: str
    team_id: int
    base_model: str
    hub_id: str
    family: str
    parameters: int | None
    kind: str
    trust: Trust
    flags: tuple[Flag, ...]
    protocol: int
    precision: str
    scores: tuple[BenchmarkScore, ...]
    resources: Mapping[str, Cost]
    strategy: str
    peft: str
    rank: int | None
    rounds: int | None
    clients: int | None
    clients_per_round: int | None
    adapted: bool
    published_at: datetime
    source_date: date | None = None
    source_place: int | None = None
    source_url: str = ""
    licence: str = ""
    gain: float | None = None
    gain_interval: Interval | None = None
    base_model_id: int | None = None
    size_by_name: bool = False
    left: str = ""
    repeats: int | None = None
    runs: tuple[SeedRun, ...] = ()
    spread: float | None = None
    over_seeds: Interval | None = None
    transfer: tuple[DomainChange, ...] = ()
    leakage: LeakageFigure | None = None
    answer_energy: NetEnergy | None = None
    evaluation: int | None = None

    @cached_property
    def average(self) -> float | None:
        """The plain mean over the benchmarks; None where one has no scored item."""
        values = [score.value for score in self.scores if score.value is not None]
        return math.fsum(values) / len(values) if values and len(values) == len(self.scores) else None

    @cached_property
    def place(self) -> tuple[float, float, int]:
        """The order on a board: the average, then the older publication, then the number."""
        return 1.0 if self.average is None else -self.average, self.published_at.timestamp(), self.id

    @cached_property
    def interval(self) -> Interval | None:
        """The 95% interval of the average."""
        if self.over_seeds or self.average is None:
            return self.over_seeds
        return mean_interval([(score.correct, score.n - score.unscored) for score in self.scores])

    @cached_property
    def by_benchmark(self) -> Mapping[str, BenchmarkScore]:
        return {score.benchmark: score for score in self.scores}

    @property
    def day(self) -> date | None:
        """The day that readers are told: of an imported entry the one its source gives, if any."""
        return self.source_date if self.kind == "imported" else self.published_at.date()

    @property
    def mark(self) -> str:
        """What readers are warned of, "demonstration" or "unofficial"; "" of official and of declared scores.

        Scores on a part of the demonstration data are of the unofficial track, but carry the mark of all of
        them: nothing else tells as little.
        """
        data = {score.data for score in self.scores}
        if "demonstration" in data:
            return "demonstration"
        told = data == {"declared"} or (data and all(score.official for score in self.scores))
        return "" if told else "unofficial"

    @property
    def gain_is_chance(self) -> bool:
        """Whether the items leave open that training changed nothing."""
        return self.gain_interval is not None and self.gain_interval[0] <= 0 <= self.gain_interval[1]

    @cached_property
    def worst_elsewhere(self) -> WorstChange | None:
        """None unless it was measured on every other domain: the worst of some says nothing of the worst."""
        others = [change for change in self.transfer if change.domain != self.challenge]
        return worst_of(others) if len(others) == len(CHALLENGES) - 1 else None

    @property
    def has_page(self) -> bool:
        return self.left != "withdrawn"

    @property
    def communication(self) -> Cost | None:
        return self.resources.get("communication")

    @property
    def flagged(self) -> frozenset[str]:
        """The benchmarks whose score is impossible."""
        return frozenset(flag.benchmark for flag in self.flags)


@dataclass(frozen=True, slots=True)
class Standing:
    """An entry's place among those of its track, precision and protocol.

    `rank` is by the mean (ties share one), None with the reason why not. `rank_range` are the ranks that it
    may have given that the items are a sample; None where no test was possible. Entries with the same number
    of significantly better ones share a `tie_group`, counted from 1.
    """

    entry: Entry
    track: Track
    rank: int | None
    rank_range: RankRange | None = None
    tie_group: int | None = None
    unranked_because: str = ""
