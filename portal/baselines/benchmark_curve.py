"""What a run scored on its way, against rounds, bytes sent and joules: read, asked by a budget, drawn."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any, Literal

from django.conf import settings
from django.db.models import Prefetch

from evaluation import rules
from evaluation.federated.config import FederatedConfig
from evaluation.method.communication import GB
from evaluation.running.curve import Point, Spent, best_within, first_to_reach, until_each
from evaluation.statistics import Interval, mean_interval
from portal.baselines import kept_rounds
from portal.baselines.curves import HEIGHT, WIDTH
from portal.runs.models import BaselineRun, Evaluation, RoundMetric, Score
from portal.runs.services import of_present_adapter
from portal.submissions.models import Submission

Status = Evaluation.Status
State = Literal["scored", "waiting", "running", "failed", "cancelled", "missing", "hidden"]

WORDS: Mapping[State, str] = {
    "scored": "",
    "waiting": "waits for its evaluation",
    "running": "is being evaluated",
    "failed": "its evaluation failed",
    "cancelled": "its evaluation was cancelled",
    "missing": "no evaluation here",
    "hidden": "evaluated, and not public yet",
}


@dataclass(frozen=True)
class Row:
    """A round whose adapter was kept, the last one included, and its score, the mean over the benchmarks.

    `score` and its `interval` are fractions, None but where it is "scored"; `mark` as in Score.mark.
    """

    spent: Spent
    state: State
    score: float | None = None
    interval: Interval | None = None
    mark: str = ""

    @property
    def words(self) -> str:
        return WORDS[self.state]

    @property
    def point(self) -> Point | None:
        return None if self.score is None else Point.of(self.spent, self.score, self.interval)

    def as_dict(self) -> dict[str, Any]:
        """For files and the API: scores are fractions, costs those of all rounds until then."""
        low, high = self.interval or (None, None)
        return {
            "round": self.spent.round,
            "state": self.state,
            "score": self.score,
            "score_low": low,
            "score_high": high,
            "mark": self.mark,
            "bytes": self.spent.bytes,
            "joules": self.spent.joules,
            "simulated_time": self.spent.simulated_time,
        }


@dataclass(frozen=True)
class BenchmarkCurve:
    """All of it, in the order of rounds; scores are of one protocol."""

    protocol: int
    rows: tuple[Row, ...]

    def as_dict(self) -> dict[str, Any]:
        """For the API."""
        return {"protocol": self.protocol, "rows": [row.as_dict() for row in self.rows]}

    @property
    def points(self) -> list[Point]:
        return [point for row in self.rows if (point := row.point)]

    @property
    def mark(self) -> str:
        return next((row.mark for row in self.rows if row.mark), "")

    def count(self, *states: State) -> int:
        return sum(row.state in states for row in self.rows)

    @property
    def under_way(self) -> int:
        return self.count("waiting", "running")

    @property
    def waiting_on_the_way(self) -> int:
        """Those that staff may cancel."""
        return sum(row.state in ("waiting", "running") for row in self.rows[:-1])

    @property
    def lacking(self) -> int:
        """Rounds before the last that staff may have evaluated again: all, once the protocol is another."""
        is_old = self.protocol != settings.LEADERBOARD_PROTOCOLS[0]
        return sum(is_old or row.state in ("failed", "cancelled") for row in self.rows[:-1])

    @property
    def charts(self) -> list[Chart]:
        """Pictures by rounds, bytes and joules; none of fewer than two scores or of unknown costs."""
        axes: tuple[tuple[str, str, Callable[[Point], float | None]], ...] = (
            ("rounds", "", lambda point: point.round),
            ("bytes sent", "B", lambda point: point.bytes),
            ("joules", "J", lambda point: point.joules),
        )
        return [chart for title, unit, of in axes if (chart := _chart(title, unit, self.points, of))]


def curve_of(run: BaselineRun, *, sees_all: bool) -> BenchmarkCurve | None:
    """None of a run that keeps no adapters. Scores are for `sees_all` until the entry is public."""
    rounds = FederatedConfig.from_dict(run.config).kept_rounds
    if not rounds:
        return None
    entry = run.submission
    kept = {one.round: one for one in kept_rounds.newest(entry)} if entry else {}
    protocol = max((one.protocol for one in kept.values()), default=settings.LEADERBOARD_PROTOCOLS[0])
    found = {number: one for number in rounds if (one := kept.get(number)) and one.protocol == protocol}
    spent = {one.round: one for one in until_each(map(_cost, run.round_metrics.all()))}
    own = {**found, run.rounds: _of_result(entry, protocol)} if entry else {}
    is_public = entry is not None and entry.status in entry.PUBLIC
    benchmarks = rules.of(run.challenge, protocol).benchmarks
    rows = [
        _row(spent[number], own.get(number), benchmarks, hidden=not (is_public or sees_all))
        for number in (*rounds, run.rounds)
        if entry and number in spent
    ]
    return BenchmarkCurve(protocol, tuple(rows))


def as_csv(curve: BenchmarkCurve) -> str:
    """A line for each row; empty where there is nothing."""
    text = io.StringIO()
    writer = csv.DictWriter(text, Row(Spent(0, 0, None, None), "missing").as_dict(), lineterminator="\n")
    writer.writeheader()
    writer.writerows(row.as_dict() for row in curve.rows)
    return text.getvalue()


@dataclass(frozen=True)
class Answers:
    """What a reader asked of the curve; None where nothing of it was asked."""

    within: float | None = None
    best: Point | None = None
    reach: float | None = None
    first: Point | None = None


def answers(curve: BenchmarkCurve, *, within: float | None, reach: float | None) -> Answers:
    """The best score within so many GB, and the first round with at least `reach` percent."""
    points = curve.points
    return Answers(
        within,
        None if within is None else best_within(points, within * GB, lambda point: point.bytes),
        reach,
        None if reach is None else first_to_reach(points, reach / 100),
    )


@dataclass(frozen=True)
class Mark:
    """A score where it is drawn, with the limits of its interval."""

    x: float
    y: float
    low: float
    high: float
    point: Point


@dataclass(frozen=True)
class Chart:
    """Scores from `low` at the bottom to `high` at the top, over a cost from 0 to `most`."""

    title: str
    unit: str
    low: float
    high: float
    most: float
    marks: tuple[Mark, ...]

    width = WIDTH
    height = HEIGHT

    @property
    def path(self) -> str:
        return " ".join(f"{mark.x:g},{mark.y:g}" for mark in self.marks)

    @property
    def intervals(self) -> str:
        """The path of all intervals, each a line upright."""
        return "".join(f"M{mark.x:g} {mark.low:g}V{mark.high:g}" for mark in self.marks)


def _chart(
    title: str, unit: str, points: Sequence[Point], cost: Callable[[Point], float | None]
) -> Chart | None:
    costs = [known for point in points if (known := cost(point)) is not None]
    most = max(costs, default=0.0)
    if len(points) < 2 or len(costs) < len(points) or not most:
        return None
    intervals = [point.interval or (point.score, point.score) for point in points]
    low, high = min(one[0] for one in intervals), max(one[1] for one in intervals)

    def height(score: float) -> float:
        return round(HEIGHT * (1 - (score - low) / ((high - low) or 1.0)), 1)

    marks = [
        Mark(round(WIDTH * x / most, 1), height(point.score), height(ends[0]), height(ends[1]), point)
        for point, x, ends in zip(points, costs, intervals, strict=True)
    ]
    return Chart(title, unit, low, high, most, tuple(marks))


def _cost(metric: RoundMetric) -> Spent:
    return Spent(metric.round, metric.bytes_both_ways, metric.energy_joules, metric.simulated_time)


def _of_result(entry: Submission, protocol: int) -> Evaluation | None:
    """The entry's own evaluation: the last that succeeded, else the last."""
    own = of_present_adapter(entry).filter(protocol=protocol).prefetch_related(_scores()).order_by("-pk")
    return own.filter(status=Status.SUCCEEDED).first() or own.first()


def _scores() -> Prefetch[Any]:
    return Prefetch("scores", Score.objects.defer("correct_bits", "scored_bits"))


def _row(spent: Spent, evaluation: Evaluation | None, benchmarks: Sequence[str], *, hidden: bool) -> Row:
    if evaluation is None:
        return Row(spent, "missing")
    if evaluation.status not in (Status.MEASURED, Status.SUCCEEDED):
        return Row(spent, _STATES[evaluation.status])
    if hidden:
        return Row(spent, "hidden")
    scores = list(_in_order(evaluation, benchmarks))
    values = [score.value for score in scores if score.value is not None]
    if len(values) < len(benchmarks):  # no item of a benchmark could be scored
        return Row(spent, "failed")
    interval = mean_interval([(score.correct, score.n - score.unscored) for score in scores])
    mark = next((score.mark for score in scores if score.mark), "")
    return Row(spent, "scored", fmean(values), interval, mark)


def _in_order(evaluation: Evaluation, benchmarks: Sequence[str]) -> Iterator[Score]:
    known = {score.benchmark: score for score in evaluation.scores.all()}
    return (known[slug] for slug in benchmarks if slug in known)


_STATES: Mapping[str, State] = {
    Status.QUEUED: "waiting",
    Status.RUNNING: "running",
    Status.FAILED: "failed",
    Status.CANCELLED: "cancelled",
}
