"""Reads what adapters were found to give away, in one query and as it stood at any moment."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import QuerySet

from evaluation.leakage.signals import TITLES
from evaluation.leakage.sources import NONE_KNOWN
from evaluation.statistics import Interval
from leaderboard.standing.leakage import LeakageFigure
from portal.runs.leakage import result_of, results_of
from portal.runs.models import Leakage
from portal.submissions.models import Submission


@dataclass(frozen=True)
class Test:
    """One test of membership, by the signal of that title."""

    title: str
    signal: str
    auc: float
    interval: Interval | None
    true_positives: float
    true_positives_interval: Interval | None

    @property
    def tells_something(self) -> bool:
        """Without an interval all scores are equal."""
        return self.interval is not None and not self.interval[0] <= 0.5 <= self.interval[1]


@dataclass(frozen=True)
class Report:
    """All that was found of an entry; `clients` are numbers and rows of clients with their tests."""

    figure: LeakageFigure
    members: int
    others: int
    tests: tuple[Test, ...]
    clients: tuple[tuple[int, int, Test], ...]
    exposures: tuple[tuple[int, float, float], ...]

    @property
    def differ_anyway(self) -> bool:
        """Whether the base model tells the rows apart, so that they differ without any training."""
        return any(test.signal == "base_alone" and test.tells_something for test in self.tests)


def figures_of(
    submissions: QuerySet[Any, Any] | Sequence[int], moment: datetime | None = None
) -> dict[int, LeakageFigure]:
    """By submission, of its present adapter; who was not measured is left out."""
    rows = results_of(submissions).select_related("evaluation")
    if moment is not None:
        rows = rows.filter(evaluation__finished_at__lte=moment)
    return {row.evaluation.submission_id: _figure(row) for row in rows}


def report_of(submission: Submission) -> Report | None:
    row = result_of(submission)
    if row is None:
        return None
    return Report(
        figure=_figure(row),
        members=row.members,
        others=row.others,
        tests=tuple(_test(one) for one in row.memberships),
        clients=tuple((one["client"], one["rows"], _test(one["membership"])) for one in row.clients),
        exposures=tuple((one["client"], one["bits"], one["most"]) for one in row.exposures),
    )


def leakage_unknown(submission: Submission) -> str:
    """Why nobody can measure it of an adapter that was trained elsewhere, in a sentence; "" where one can."""
    if submission.checkpoint_id is None or submission.kind == Submission.Kind.REFERENCE:
        return ""
    return NONE_KNOWN.get(submission.challenge, "")


def _figure(row: Leakage) -> LeakageFigure:
    return LeakageFigure(
        auc=row.auc,
        interval=_interval(row.auc_low, row.auc_high),
        true_positives=row.true_positives,
        true_positives_interval=_interval(row.true_positives_low, row.true_positives_high),
        basis=row.basis,
        epsilon=row.epsilon,
    )


def _test(stored: dict[str, Any]) -> Test:
    return Test(
        title=TITLES[stored["signal"]],
        signal=stored["signal"],
        auc=stored["auc"],
        interval=_interval(*(stored["auc_interval"] or (None, None))),
        true_positives=stored["true_positives"],
        true_positives_interval=_interval(*(stored["true_positives_interval"] or (None, None))),
    )


def _interval(low: float | None, high: float | None) -> Interval | None:
    return None if low is None or high is None else (low, high)
