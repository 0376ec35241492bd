"""What a site states, as in-toto Statements v1: the result of an evaluation, what became of an entry, and
what an audit of it showed.

Nothing in them is of a person: the log keeps them for good, and teams may take entries back.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from evaluation.statements.canonical_json import canonical
from evaluation.statements.errors import StatementError
from evaluation.statements.fields import as_object, document, field, moment, written
from evaluation.statistics import mean_interval, wilson_interval

PAYLOAD_TYPE = "application/vnd.in-toto+json"
STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
EVALUATION = "urn:flowertune:statement:evaluation:v1"
ACT = "urn:flowertune:statement:act:v1"
AUDIT = "urn:flowertune:statement:audit:v1"
ADAPTER = "adapter_model.safetensors"
"""The subject whose digest is that of the adapter's file."""

_WHAT = "The statement"
_DECIMALS = 6


@dataclass(frozen=True)
class Subject:
    """Something a statement is about, by the digest of its bytes: {"sha256": …} or {"gitCommit": …}."""

    name: str
    digest: Mapping[str, str]


@dataclass(frozen=True)
class Statement:
    """An in-toto Statement."""

    subjects: tuple[Subject, ...]
    predicate_type: str
    predicate: Mapping[str, Any]

    def to_bytes(self) -> bytes:
        """The payload of its envelope, in canonical form."""
        return canonical(
            {
                "_type": STATEMENT_TYPE,
                "subject": [{"name": one.name, "digest": dict(one.digest)} for one in self.subjects],
                "predicateType": self.predicate_type,
                "predicate": self.predicate,
            }
        )

    @classmethod
    def read(cls, payload: bytes) -> Statement:
        """Raises StatementError."""
        row = document(payload, _WHAT)
        if field(row, "_type", str, _WHAT) != STATEMENT_TYPE:
            raise StatementError(f"{_WHAT} is no in-toto Statement v1.")
        subjects = []
        for value in field(row, "subject", list, _WHAT):
            one = as_object(value, "A subject")
            digest = field(one, "digest", dict, "A subject")
            subjects.append(Subject(field(one, "name", str, "A subject"), digest))
        if not subjects:
            raise StatementError(f"{_WHAT} is about nothing.")
        predicate = field(row, "predicate", dict, _WHAT)
        return cls(tuple(subjects), field(row, "predicateType", str, _WHAT), predicate)

    @property
    def site(self) -> str:
        """Who states it. Raises StatementError, as the other properties do."""
        return field(self.predicate, "site", str, _WHAT)

    @property
    def entry(self) -> int:
        return field(self.predicate, "entry", int, _WHAT)

    @property
    def stated_at(self) -> datetime:
        return moment(self.predicate, "statedAt", _WHAT)

    @property
    def adapter(self) -> str | None:
        """The SHA-256 of the adapter's file; None where there is no adapter."""
        return next((one.digest.get("sha256") for one in self.subjects if one.name == ADAPTER), None)

    @property
    def answers(self) -> dict[str, str]:
        """By benchmark: the SHA-256 of its packed answers."""
        rows = [as_object(row, "A score") for row in field(self.predicate, "scores", list, _WHAT)]
        return {
            field(row, "benchmark", str, "A score"): field(
                field(row, "answers", dict, "A score"), "sha256", str, "A score"
            )
            for row in rows
        }


@dataclass(frozen=True)
class StatedScore:
    """A benchmark's score. `answers` is the SHA-256 of its packed answers, see `answers_digest`."""

    benchmark: str
    n: int
    unscored: int
    correct: int
    value: float | None
    data: str
    data_digest: str
    available: int
    official: bool
    unofficial_reasons: Sequence[str]
    answers: str

    @property
    def scored(self) -> int:
        return self.n - self.unscored

    def to_json(self) -> dict[str, Any]:
        interval = wilson_interval(self.correct, self.scored) if self.scored else None
        return {
            "benchmark": self.benchmark,
            "n": self.n,
            "unscored": self.unscored,
            "correct": self.correct,
            "value": _rounded(self.value),
            "interval95": _both(interval),
            "data": {"kind": self.data, "digest": self.data_digest, "available": self.available},
            "official": self.official,
            "unofficialReasons": list(self.unofficial_reasons),
            "answers": {"sha256": self.answers},
        }


@dataclass(frozen=True)
class StatedEvaluation:
    """The result of one evaluation, with its conditions. Times are in UTC."""

    site: str
    entry: int
    kind: str
    challenge: str
    evaluation: int
    protocol: int
    base_model: str
    base_revision: str
    adapter: Mapping[str, str]
    scores: Sequence[StatedScore]
    provenance: Mapping[str, Any]
    started_at: datetime
    finished_at: datetime
    published_at: datetime
    stated_at: datetime

    def statement(self, subjects: Sequence[Subject]) -> Statement:
        return Statement(tuple(subjects), EVALUATION, self._predicate())

    def _predicate(self) -> dict[str, Any]:
        return {
            "site": self.site,
            "entry": self.entry,
            "kind": self.kind,
            "challenge": self.challenge,
            "evaluation": self.evaluation,
            "protocol": self.protocol,
            "baseModel": {"name": self.base_model, "revision": self.base_revision},
            "adapter": dict(self.adapter),
            "scores": [score.to_json() for score in self.scores],
            "average": self._average(),
            "provenance": dict(self.provenance),
            "startedAt": written(self.started_at),
            "finishedAt": written(self.finished_at),
            "publishedAt": written(self.published_at),
            "statedAt": written(self.stated_at),
        }

    def _average(self) -> dict[str, Any]:
        """The plain mean over the benchmarks, where each has a scored item."""
        values = [score.value for score in self.scores if score.value is not None]
        if not values or len(values) < len(self.scores):
            return {"value": None, "interval95": None}
        interval = mean_interval([(score.correct, score.scored) for score in self.scores])
        return {"value": _rounded(sum(values) / len(values)), "interval95": _both(interval)}


@dataclass(frozen=True)
class StatedAct:
    """What became of an entry in public: "published", "withdrawn" or "disqualified".

    `reason` is the SHA-256 of the public reason, whose text the entry's page has; "" where there is none.
    """

    site: str
    entry: int
    kind: str
    challenge: str
    act: str
    acted_at: datetime
    reason: str
    stated_at: datetime

    def statement(self, subjects: Sequence[Subject]) -> Statement:
        predicate = {
            "site": self.site,
            "entry": self.entry,
            "kind": self.kind,
            "challenge": self.challenge,
            "act": self.act,
            "actedAt": written(self.acted_at),
            "reason": {"sha256": self.reason} if self.reason else None,
            "statedAt": written(self.stated_at),
        }
        return Statement(tuple(subjects), ACT, predicate)


@dataclass(frozen=True)
class StatedAudit:
    """What trying a drawn entry again gave. `seed` is that of the month's draw, `how` "evaluation" or
    "retraining"; `difference` is the new average less that of evaluation `original`, None without one."""

    site: str
    entry: int
    kind: str
    challenge: str
    month: str
    seed: str
    how: str
    original: int
    outcome: str
    difference: float | None
    interval: tuple[float, float] | None
    same_machine: bool
    settled_at: datetime
    stated_at: datetime

    def statement(self, subjects: Sequence[Subject]) -> Statement:
        predicate = {
            "site": self.site,
            "entry": self.entry,
            "kind": self.kind,
            "challenge": self.challenge,
            "month": self.month,
            "seed": self.seed,
            "how": self.how,
            "original": self.original,
            "outcome": self.outcome,
            "difference": _rounded(self.difference),
            "interval95": _both(self.interval),
            "sameMachine": self.same_machine,
            "settledAt": written(self.settled_at),
            "statedAt": written(self.stated_at),
        }
        return Statement(tuple(subjects), AUDIT, predicate)


def _rounded(value: float | None) -> float | None:
    """To six decimals: the last digits of a float are the processor's, not the result's."""
    return None if value is None else round(value, _DECIMALS)


def _both(interval: tuple[float, float] | None) -> list[float | None] | None:
    return [_rounded(end) for end in interval] if interval else None
