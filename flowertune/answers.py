"""What the API says of submissions and evaluations, as far as the client shows or acts on it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from evaluation.findings import RecordedFinding
from flowertune.errors import ClientError
from flowertune.site import as_finding

DRAFT = "received"
TRIED = "tried"  # its smoke run is done, and the team decides
# Nothing follows but a person's decision, or nothing at all.
EVALUATED = ("in_review", "published", "rejected", "disqualified")
GIVEN_UP = ("invalid", "failed", "withdrawn")
DECIDED = ("published", "rejected", "disqualified", *GIVEN_UP)
_SLUG = re.compile(r"[a-z0-9_-]{1,60}", re.ASCII)


@dataclass(frozen=True)
class Score:
    """A benchmark's score: `value` is a fraction; `items` is an address or None."""

    benchmark: str
    value: float
    n: int
    correct: int
    unscored: int
    official: bool
    items: str | None

    @classmethod
    def read(cls, row: Mapping[str, Any]) -> Score:
        benchmark = str(row["benchmark"])
        if not _SLUG.fullmatch(benchmark):  # it becomes part of a file's name
            raise ValueError(benchmark)
        n, unscored, correct = int(row["n"]), int(row["unscored"]), int(row["correct"])
        if not 0 <= correct <= n - unscored:
            raise ValueError(f"{correct} right of {n - unscored}")
        return cls(
            benchmark,
            float(row["value"]),
            n,
            correct,
            unscored,
            bool(row["official"]),
            str(row["items"]) if row["items"] else None,
        )


@dataclass(frozen=True)
class Progress:
    """How far an evaluation is; None where that is not known yet."""

    phase: str
    benchmark: str
    done: int
    total: int
    seconds_left: float | None
    benchmarks_done: int
    benchmarks_total: int
    queue_position: int | None
    expectation: str = ""

    @classmethod
    def read(cls, row: Mapping[str, Any]) -> Progress:
        left, position = row["seconds_left"], row["queue_position"]
        return cls(
            str(row["phase"]),
            str(row["benchmark"]),
            int(row["done"]),
            int(row["total"]),
            None if left is None else float(left),
            int(row["benchmarks_done"]),
            int(row["benchmarks_total"]),
            None if position is None else int(position),
            str(row.get("expectation", "")),  # sites before version 0.2 do not say
        )


@dataclass(frozen=True)
class Evaluation:
    """One run of the benchmarks."""

    id: int
    status: str
    protocol: int
    progress: Progress | None
    scores: tuple[Score, ...]
    error: str
    is_smoke_run: bool = False

    @classmethod
    def read(cls, row: Mapping[str, Any]) -> Evaluation:
        return cls(
            int(row["id"]),
            str(row["status"]),
            int(row["protocol"]),
            Progress.read(row["progress"]) if row["progress"] else None,
            tuple(Score.read(score) for score in row["scores"]),
            str(row["error_message"] or row["error_code"] or ""),
            bool(row.get("smoke_run")),
        )


@dataclass(frozen=True)
class Submission:
    """A submission in a list, or with `findings` and `evaluations` on its own; newest evaluation last."""

    id: int
    url: str
    status: str
    challenge: str
    method: str
    team: str
    base_model: str
    checkpoint: str | None
    created_at: str
    findings: tuple[RecordedFinding, ...] = ()
    evaluations: tuple[Evaluation, ...] = ()
    hub_status: str | None = None
    hub_wait: str = ""
    decide_by: str = ""

    @classmethod
    def read(cls, row: Mapping[str, Any]) -> Submission:
        """Raises ClientError where `row` is no submission."""
        try:
            return cls._read(row)
        except (KeyError, TypeError, ValueError) as error:
            message = "The site describes a submission as this program does not know it. Update the program."
            raise ClientError(message, code="unexpected_answer") from error

    @classmethod
    def _read(cls, row: Mapping[str, Any]) -> Submission:
        hub = row.get("hub")
        runs = sorted((Evaluation.read(r) for r in row.get("evaluations", ())), key=lambda run: run.id)
        return cls(
            id=int(row["id"]),
            url=str(row["url"]),
            status=str(row["status"]),
            challenge=str(row["challenge"]),
            method=str(row["method"]),
            team=str(row["team"]),
            base_model=str(row["base_model"]),
            checkpoint=str(row["checkpoint"]) if row["checkpoint"] else None,
            created_at=str(row["created_at"]),
            findings=tuple(as_finding(finding) for finding in row.get("findings", ())),
            evaluations=tuple(runs),
            hub_status=str(hub["status"]) if hub else None,
            hub_wait=_wait(hub) if hub else "",
            decide_by=str(row.get("decide_by") or ""),
        )

    @property
    def shown_status(self) -> str:
        said = {DRAFT: "draft", TRIED: "smoke run done"}
        return said.get(self.status) or self.status.replace("_", " ")

    @property
    def latest(self) -> Evaluation | None:
        """One that runs, else the newest: there may be one under each protocol."""
        running = [run for run in self.evaluations if run.status == "running"]
        return next(iter(running or self.evaluations[-1:]), None)

    @property
    def result(self) -> Evaluation | None:
        """The newest evaluation that has all its scores."""
        return next((run for run in reversed(self.evaluations) if run.status == "succeeded"), None)


@dataclass(frozen=True)
class LogLine:
    """What a worker noted on an evaluation, and when (ISO 8601, UTC)."""

    number: int
    at: str
    level: str
    text: str

    @classmethod
    def read(cls, row: Mapping[str, Any]) -> LogLine:
        return cls(int(row["number"]), str(row["at"]), str(row["level"]), str(row["text"]))


def _wait(hub: Mapping[str, Any]) -> str:
    """What the fetch of a draft's files waits for; empty where it does not, or the site is an older one."""
    if not hub.get("waiting_for"):
        return ""
    # As the site says it of an evaluation: the time of day of an ISO 8601 time in UTC.
    return f"waiting for {hub['waiting_for']}, next try at {hub['next_try_at'][11:19]} UTC"
