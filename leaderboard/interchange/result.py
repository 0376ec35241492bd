"""An entry's result as every format is written from: the figures of its page, and what they rest on. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from urllib.parse import urlsplit

from evaluation.benchmarks import BENCHMARKS
from evaluation.benchmarks.definition import Benchmark
from evaluation.statistics import Interval

DECIMALS = 6
"""Of fractions: the last digits of a float are the processor's, not the result's."""


class NotSayableError(LookupError):
    """A format has no words for this result; the text says which to a reader."""


@dataclass(frozen=True)
class BenchmarkResult:
    """A score as a fraction of the `n - unscored` scored items; `available` are those of the whole benchmark.

    `data` is "official", "demonstration", "other" or "declared", `digest` that of the rows. `percent` is as
    the page shows it. `standard_error` is None of what nobody evaluated here.
    """

    benchmark: str
    value: float
    percent: Decimal
    standard_error: float | None
    interval: Interval | None
    n: int
    unscored: int
    correct: int
    available: int
    data: str
    digest: str
    official: bool
    reasons: tuple[str, ...]
    has_items: bool

    @property
    def definition(self) -> Benchmark:
        return BENCHMARKS[self.benchmark]

    @property
    def title(self) -> str:
        """With the mark that the page gives it."""
        return self.definition.title if self.mark == "" else f"{self.definition.title} ({self.mark})"

    @property
    def mark(self) -> str:
        if self.data in ("demonstration", "declared"):
            return self.data
        return "" if self.official else "unofficial"

    @property
    def scored(self) -> int:
        return self.n - self.unscored

    @property
    def rounded(self) -> float:
        return round(self.value, DECIMALS)

    @property
    def rounded_interval(self) -> tuple[float, float] | None:
        return (
            (round(self.interval[0], DECIMALS), round(self.interval[1], DECIMALS)) if self.interval else None
        )

    @property
    def data_in_words(self) -> str:
        """What the items were: of the hub's data set, or of this site."""
        if self.data == "official":
            return f"{self.definition.hub.dataset}@{self.definition.hub.revision}"
        return f"{self.data} items, not those of {self.definition.hub.dataset}"


@dataclass(frozen=True)
class Conditions:
    """How an evaluation went: what its provenance says, each empty where it does not. Invented ones were
    never started."""

    evaluation: int
    protocol: int
    precision: str
    engine: str
    engine_version: str
    packages: Mapping[str, str]
    hardware: str
    git_commit: str
    started_at: datetime | None
    finished_at: datetime

    @property
    def began_at(self) -> datetime:
        """When it started, else when it was finished: for formats that ask for a moment."""
        return self.started_at or self.finished_at


@dataclass(frozen=True)
class Result:
    """A published entry's result under one protocol; `conditions` are None where the scores were only
    declared, on the board at `declared_at`.

    `site` is this site's address, `url` that of the entry's page, `statement` that of the signed statement.
    The repository that the files came from is not among it: it may be private.
    """

    site: str
    url: str
    statement: str
    entry: int
    challenge: str
    challenge_title: str
    method: str
    team: str
    base_model: str
    base_revision: str
    adapted: bool
    adapter_sha256: str
    published_at: datetime
    declared_at: str
    average: float | None
    average_interval: Interval | None
    scores: tuple[BenchmarkResult, ...]
    conditions: Conditions | None

    @property
    def evaluated(self) -> Conditions:
        """Raises NotSayableError where the scores were only declared."""
        if self.conditions is None:
            raise NotSayableError(
                "The scores of this entry were declared by its team and not evaluated here, which this "
                "format cannot say."
            )
        return self.conditions

    @property
    def model(self) -> str:
        """A name like the hub's: of the base model as it is, or of the entry."""
        return f"flowertune-entry/{self.entry}" if self.adapted else self.base_model

    @property
    def source(self) -> str:
        """What readers elsewhere are told that the figures come from."""
        return f"FlowerTune Leaderboard ({urlsplit(self.site).netloc})"

    @property
    def file_stem(self) -> str:
        host = urlsplit(self.site).netloc.replace(":", "-")
        return f"flowertune-{host}-entry-{self.entry}"

    def facts(self) -> dict[str, str]:
        """What stands behind all of its scores, as texts, for formats with room for pairs."""
        facts = {
            "entry": self.url,
            "signed statement": self.statement,
            "challenge": self.challenge,
            "method": self.method,
            "team": self.team,
            "base model": f"{self.base_model}@{self.base_revision}"
            if self.base_revision
            else self.base_model,
            "adapter SHA-256": self.adapter_sha256,
            "declared on": self.declared_at,
        }
        if known := self.conditions:
            facts |= {
                "evaluation": str(known.evaluation),
                "protocol": str(known.protocol),
                "precision": known.precision,
                "engine": f"{known.engine} {known.engine_version}".strip(),
                "hardware": known.hardware,
                "code": known.git_commit,
                "started at": known.started_at.isoformat() if known.started_at else "",
                "finished at": known.finished_at.isoformat(),
            }
        return {name: value for name, value in facts.items() if value}
