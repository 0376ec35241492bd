"""A run's rounds as small curves in SVG, whose points are written in the chart's own coordinates."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from portal.runs.models import RoundMetric

WIDTH, HEIGHT = 320.0, 96.0
# More would touch each other.
_MARKERS_UP_TO = 30
_POINTS_UP_TO = 400


@dataclass(frozen=True)
class Point:
    """One round: where it is drawn, and its figure."""

    x: float
    y: float
    round: int
    value: float


@dataclass(frozen=True)
class Series:
    """A line of a chart, with its first and last figure."""

    name: str
    path: str
    points: tuple[Point, ...]
    first: float
    last: float

    @property
    def markers(self) -> tuple[Point, ...]:
        return self.points if len(self.points) <= _MARKERS_UP_TO else ()


@dataclass(frozen=True)
class Curve:
    """A chart over the rounds, from `low` at the bottom to `high` at the top; `unit` as in Resource.UNITS."""

    title: str
    unit: str
    low: float
    high: float
    rounds: int
    series: tuple[Series, ...]

    width = WIDTH
    height = HEIGHT


_CHARTS = (
    ("Loss", "", (("training rows", "train_loss"), ("held-out rows", "held_out_loss"))),
    (
        "Loss on the clients' own held-out rows",
        "",
        (("worst client", "worst_client_loss"), ("mean of the clients", "mean_client_loss")),
    ),
    ("Bytes a round", "B", (("to the clients", "bytes_down"), ("from the clients", "bytes_up"))),
    (
        "Time a round",
        "s",
        (("on the clock", "seconds"), ("training", "train_seconds"), ("aggregation", "aggregate_seconds")),
    ),
    (
        "Peak memory",
        "B",
        (
            ("largest client", "client_peak_rss_bytes"),
            ("its GPU", "client_peak_vram_bytes"),
            ("server", "server_peak_rss_bytes"),
        ),
    ),
)


def curves_of(metrics: Sequence[RoundMetric], rounds: int) -> list[Curve]:
    """Loss, bytes, seconds and memory over a run of `rounds` rounds; nothing before the first."""
    return [
        curve
        for title, unit, lines in _CHARTS
        if (curve := _curve(title, unit, {name: list(_values(metrics, of)) for name, of in lines}, rounds))
    ]


def _values(metrics: Sequence[RoundMetric], attribute: str) -> Iterator[tuple[int, float]]:
    """Figures by rounds; of more than can be told apart every so many, the last one kept."""
    every = 1 + len(metrics) // _POINTS_UP_TO
    for metric in metrics[::-1][::every][::-1]:
        value = getattr(metric, attribute)
        if value is not None:
            yield metric.round, float(value)


def _curve(title: str, unit: str, lines: dict[str, list[tuple[int, float]]], rounds: int) -> Curve | None:
    known = [value for values in lines.values() for _, value in values]
    if not known:
        return None
    low, high = (0.0 if unit else min(known)), max(known)  # a loss has no zero that would mean something
    span = (high - low) or 1.0
    step = WIDTH / max(1, rounds - 1)
    series = []
    for name, values in lines.items():
        points = tuple(
            Point(round((number - 1) * step, 1), round(HEIGHT * (1 - (value - low) / span), 1), number, value)
            for number, value in values
        )
        if points:
            path = " ".join(f"{point.x:g},{point.y:g}" for point in points)
            series.append(Series(name, path, points, points[0].value, points[-1].value))
    return Curve(title, unit, low, high, rounds, tuple(series))
