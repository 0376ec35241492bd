"""Score against what the training cost, with the best under each budget."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import altair as alt

from evaluation.method.communication import GB
from leaderboard.charts.figure import Figure, FigureCell, Mark, address, description, named
from leaderboard.charts.look import (
    ACCENT,
    HEIGHT,
    MUTED,
    SURFACE,
    WIDTH,
    padded,
    shortened,
    specification,
)
from leaderboard.figures import percent
from leaderboard.standing.entries import Entry
from leaderboard.standing.front import pareto_front

MOST_POINTS = 200
"""More than this can't be told apart in a picture; the front is always drawn whole."""

# From here on costs spread over so many sizes that only a logarithm shows the small ones.
_LOGARITHMIC_FROM = 20
_LABELLED = 8
_CHARACTER, _LINE_HEIGHT = 6.3, 15.0


@dataclass(frozen=True)
class CostKind:
    """A cost to hold the score against; of `kinds` an entry's first known one counts."""

    name: str
    title: str
    axis: str
    unit: str
    factor: float
    kinds: tuple[str, ...]


KINDS = (
    CostKind(
        "communication",
        "Score against communication",
        "Communication, both directions (GB)",
        "GB",
        GB,
        ("communication",),
    ),
    CostKind(
        "memory",
        "Score against client memory",
        "Peak memory of a client (GB)",
        "GB",
        GB,
        ("client_vram", "client_rss"),
    ),
    CostKind(
        "gpu-hours",
        "Score against GPU hours",
        "GPU time of the training (h)",
        "h",
        3600.0,
        ("gpu_time",),
    ),
)


@dataclass(frozen=True)
class _Point:
    entry: Entry
    cost: float
    score: float
    basis: str


def board_figure(name: str, entries: Sequence[Entry], _titles: Mapping[str, str]) -> Figure:
    """The picture of that name; raises KeyError where there is none."""
    return figure({kind.name: kind for kind in KINDS}[name], entries)


def figure(kind: CostKind, entries: Sequence[Entry]) -> Figure:
    """The picture of one cost. Entries that don't say what they cost are counted in the note."""
    known = [point for entry in entries if (point := _point(kind, entry))]
    trained = [point for point in known if point.entry.adapted and point.cost > 0]
    untuned = [entry for entry in entries if not entry.adapted and entry.average is not None]
    silent = sum(entry.adapted for entry in entries) - len(trained)
    if not trained:
        return Figure(kind.name, kind.title, "No entry of this view states this cost.")
    chosen = pareto_front([(point.cost, point.score) for point in trained])
    front = [trained[i] for i in chosen]
    rest = sorted(set(range(len(trained))) - set(chosen), key=lambda i: (-trained[i].score, i))
    drawn = [*front, *(trained[i] for i in rest[: max(0, MOST_POINTS - len(front))])]
    notes = [
        f"The front and the best {len(drawn) - len(front)} of {len(rest):,} others are drawn."
        if len(drawn) < len(trained)
        else "",
        f"{silent:,} trained {'entry does' if silent == 1 else 'entries do'} not state this cost."
        if silent
        else "",
    ]
    return Figure(
        name=kind.name,
        title=kind.title,
        sentence=_sentence(kind, front, alone=len(trained) == 1),
        head=("Method", "Base model", f"Cost ({kind.unit})", "Average (%)", "On the front"),
        rows=tuple(_row(point, place < len(front)) for place, point in enumerate(drawn)),
        marks=tuple(
            Mark(_words(kind, point), address(point.entry), tabbed=place < len(front))
            for place, point in enumerate(drawn)
        ),
        spec=_spec(kind, front, drawn, max(untuned, key=lambda e: e.average or 0.0, default=None)),
        note=" ".join(filter(None, notes)),
    )


def _point(kind: CostKind, entry: Entry) -> _Point | None:
    if entry.average is None:
        return None
    for name in kind.kinds:
        if cost := entry.resources.get(name):
            return _Point(entry, cost.value / kind.factor, entry.average, cost.basis)
    return None


def _sentence(kind: CostKind, front: list[_Point], *, alone: bool) -> str:
    cheapest, best = front[0], front[-1]
    if alone:
        return f"Only {_words(kind, best)}: no other trained entry here states this cost."
    if cheapest is best:
        return (
            f"{named(best.entry)} is both the best and the cheapest: "
            f"{percent(best.score)}% for {best.cost:,.3g} {kind.unit}."
        )
    return (
        f"The line is the best score under each budget, from {percent(cheapest.score)}% for "
        f"{cheapest.cost:,.3g} {kind.unit} ({named(cheapest.entry)}) to {percent(best.score)}% for "
        f"{best.cost:,.3g} {kind.unit} ({named(best.entry)})."
    )


def _words(kind: CostKind, point: _Point) -> str:
    return f"{named(point.entry)}: {percent(point.score)}%, {point.cost:,.3g} {kind.unit} {point.basis}"


def _row(point: _Point, on_front: bool) -> tuple[FigureCell, ...]:
    entry = point.entry
    return (
        FigureCell(entry.method, address(entry)),
        FigureCell(entry.base_model),
        FigureCell(f"{point.cost:,.4g} {point.basis}"),
        FigureCell(percent(point.score)),
        FigureCell("yes" if on_front else ""),
    )


@dataclass(frozen=True)
class _Axis:
    """The cost axis: its ends, and where a cost lies on it, in units of the drawing."""

    low: float
    high: float
    logarithmic: bool

    @classmethod
    def over(cls, costs: Sequence[float]) -> _Axis:
        low, high = min(costs), max(costs)
        if high / low < _LOGARITHMIC_FROM:
            return cls(0.0, high * 1.06, False)
        return cls(low / 1.3, high * 1.3, True)

    def place(self, cost: float) -> float:
        if self.logarithmic:
            return WIDTH * math.log(cost / self.low) / math.log(self.high / self.low)
        return WIDTH * (cost - self.low) / (self.high - self.low)

    def encoding(self, title: str) -> alt.X:
        scale: dict[str, Any] = {"domain": [self.low, self.high], "nice": False, "zero": False}
        ticks: dict[str, Any] = {"tickCount": 6, "grid": False}
        if self.logarithmic:
            scale["type"] = "log"
            first, last = math.floor(math.log10(self.low)), math.ceil(math.log10(self.high))
            steps = (1, 2, 5) if last - first <= 3 else (1,)
            marks = [step * 10.0**power for power in range(first, last + 1) for step in steps]
            ticks = {"values": [m for m in marks if self.low <= m <= self.high], "grid": False}
        axis = alt.Axis(format="~r", **ticks)
        return alt.X("cost:Q", title=title, scale=alt.Scale(**scale), axis=axis)


def _spec(kind: CostKind, front: list[_Point], drawn: list[_Point], untuned: Entry | None) -> dict[str, Any]:
    axis = _Axis.over([point.cost for point in drawn])
    scores = [100 * point.score for point in drawn]
    if untuned is not None:
        scores.append(100 * (untuned.average or 0.0))
    low, high = padded(scores, lowest=0)
    x = axis.encoding(kind.axis)
    y = alt.Y("score:Q", title="Average (%)", scale=alt.Scale(domain=[low, high], nice=False))
    values = [
        {
            "cost": point.cost,
            "score": 100 * point.score,
            "mark": description(place),
            "front": place < len(front),
        }
        for place, point in enumerate(drawn)
    ]
    steps = [{"cost": point.cost, "score": 100 * point.score} for point in front]
    steps.append({"cost": axis.high, "score": 100 * front[-1].score})
    line = (
        alt.Chart(alt.Data(values=steps))
        .mark_line(interpolate="step-after", color=ACCENT, strokeWidth=1.5, opacity=0.6)
        .encode(x=x, y=y)
    )
    points = alt.Chart(alt.Data(values=values)).encode(x=x, y=y, description="mark:N")
    plain = points.transform_filter("!datum.front").mark_point(
        filled=True, size=55, color=MUTED, opacity=0.55
    )
    best = points.transform_filter("datum.front").mark_point(
        filled=True, size=95, color=ACCENT, opacity=1, stroke=SURFACE, strokeWidth=1
    )
    layers = [line, plain, best]
    ground = _Ground(axis, low, high)
    taken: list[_Box] = []
    if untuned is not None:
        box = _free_box(untuned, ground, drawn)
        taken.append(box)
        layers = [_rule(untuned, y), *layers, *_haloed(box)]
    layers += _labels(front, ground, taken)
    return specification(alt.layer(*layers).properties(width=WIDTH, height=HEIGHT))


@dataclass(frozen=True)
class _Ground:
    """Where costs and scores lie in the drawing."""

    axis: _Axis
    low: float
    high: float

    def across(self, cost: float) -> float:
        return self.axis.place(cost)

    def down(self, score: float) -> float:
        return HEIGHT * (self.high - 100 * score) / (self.high - self.low)


@dataclass(frozen=True)
class _Box:
    """A line of text: its left end and the middle of its height."""

    text: str
    left: float
    middle: float

    @property
    def right(self) -> float:
        return self.left + len(self.text) * _CHARACTER

    def covers(self, across: float, down: float) -> bool:
        return self.left - 6 < across < self.right + 6 and abs(down - self.middle) < _LINE_HEIGHT

    def overlaps(self, other: _Box) -> bool:
        return (
            abs(self.middle - other.middle) < _LINE_HEIGHT
            and self.left < other.right
            and other.left < self.right
        )


def _rule(untuned: Entry, y: alt.Y) -> Any:
    """A line at the score of the best untuned base model: what is below gained nothing over taking that."""
    base = alt.Chart(alt.Data(values=[{"score": 100 * (untuned.average or 0.0)}]))
    return base.mark_rule(color=MUTED, strokeDash=[3, 3]).encode(y=y)


def _free_box(untuned: Entry, ground: _Ground, points: Sequence[_Point]) -> _Box:
    """The rule's label at that end and side of it where it covers the fewest points."""
    text = f"best untuned: {shortened(untuned.base_model, 34)}"
    down = ground.down(untuned.average or 0.0)
    ends = (4.0, WIDTH - 4.0 - len(text) * _CHARACTER)
    boxes = [
        _Box(text, left, middle)
        for middle in (down - 9, down + 10)
        for left in ends
        if _LINE_HEIGHT < middle < HEIGHT - 6
    ]
    return min(
        boxes, key=lambda box: sum(box.covers(ground.across(p.cost), ground.down(p.score)) for p in points)
    )


def _haloed(box: _Box) -> list[Any]:
    """The label twice, first as a rim in the ground's colour: it stays readable over points."""
    base = alt.Chart(alt.Data(values=[{"text": box.text}])).encode(
        x=alt.value(box.left), y=alt.value(box.middle), text="text:N"
    )
    look: dict[str, Any] = {"align": "left", "baseline": "middle", "fontSize": 11}
    rim = base.mark_text(**look, color=SURFACE, stroke=SURFACE, strokeWidth=4, strokeJoin="round")
    return [rim, base.mark_text(**look, color=MUTED)]


def _labels(front: list[_Point], ground: _Ground, taken: list[_Box]) -> list[Any]:
    """Names of front points, the best first, where they cover no other name.

    They stand to the upper left, where there can be no point, since it would beat the front; at the left
    border, where there is no room for that, to the lower right.
    """
    taken = list(taken)
    layers: list[Any] = []
    for point in sorted(front, key=lambda p: -p.score):
        text = shortened(point.entry.method)
        across, down = ground.across(point.cost), ground.down(point.score)
        width = len(text) * _CHARACTER
        align = "right" if across > width + 12 else "left"
        box = _Box(
            text,
            across - width if align == "right" else across + 10,
            down - 12 if align == "right" else down + 12,
        )
        if any(box.overlaps(other) for other in taken):
            continue
        taken.append(box)
        layers.append(
            alt.Chart(alt.Data(values=[{"text": text}]))
            .mark_text(align=align, baseline="middle", fontSize=11)
            .encode(
                x=alt.value(across - 7 if align == "right" else box.left),
                y=alt.value(box.middle),
                text="text:N",
            )
        )
        if len(layers) == _LABELLED:
            break
    return layers
