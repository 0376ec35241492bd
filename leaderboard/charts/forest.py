"""Intervals side by side: the best entries, their average and each benchmark with its 95% interval."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt

from evaluation.statistics import Interval
from leaderboard.charts.figure import Figure, FigureCell, Mark, address, description, named
from leaderboard.charts.look import ACCENT, INK, MUTED, padded, shortened, specification
from leaderboard.figures import percent, percent_range
from leaderboard.standing.entries import Entry, Trust

NAME, TITLE = "intervals", "Intervals side by side"
MOST_ENTRIES = 20
_ROW, _NAMES, _PANEL = 22, 170, 118


def board_figure(_name: str, entries: Sequence[Entry], titles: Mapping[str, str]) -> Figure:
    """`titles` are the challenge's benchmarks with their titles, in its order; entries in board order."""
    scored = [entry for entry in entries if entry.average is not None]
    shown = scored[:MOST_ENTRIES]
    if not shown:
        return Figure(NAME, TITLE, "No entry of this view has a complete score.")
    note = f"The first {len(shown)} of {len(scored):,} entries are drawn." if len(shown) < len(scored) else ""
    return Figure(
        name=NAME,
        title=TITLE,
        sentence=_sentence(shown),
        head=("Method", "Base model", "Average (%)", *(f"{title} (%)" for title in titles.values())),
        rows=tuple(_row(entry, titles) for entry in shown),
        marks=tuple(_mark(entry) for entry in shown),
        spec=_spec(shown, titles),
        note=note,
    )


def _sentence(shown: Sequence[Entry]) -> str:
    first = shown[0]
    assert first.average is not None
    if first.interval is None:
        return "The scores were declared without a number of items, so they have no interval."
    low = first.interval[0]
    reaching = sum(1 for entry in shown[1:] if entry.interval and entry.interval[1] >= low)
    meaning = (
        "They are binomial intervals of the scores as stated."
        if first.trust is Trust.DECLARED
        else "Overlapping intervals alone decide nothing: ranks come from paired tests."
    )
    if len(shown) == 1:
        return (
            f"{named(first)} is the only one drawn, at {_estimate(first.average, first.interval)}%. {meaning}"
        )
    return (
        f"{named(first)} leads with {_estimate(first.average, first.interval)}%. "
        f"Of the other {len(shown) - 1}, the interval of {reaching} reaches into its own. {meaning}"
    )


def _estimate(value: float | None, interval: Interval | None) -> str:
    limits = f" ({percent_range(interval)})" if interval else ""
    return "–" if value is None else f"{percent(value)}{limits}"


def _mark(entry: Entry) -> Mark:
    words = f"{named(entry)}: {_estimate(entry.average, entry.interval)}%"
    return Mark(words, address(entry))


def _row(entry: Entry, titles: Mapping[str, str]) -> tuple[FigureCell, ...]:
    scores = {score.benchmark: score for score in entry.scores}
    return (
        FigureCell(entry.method, address(entry)),
        FigureCell(entry.base_model),
        FigureCell(_estimate(entry.average, entry.interval)),
        *(
            FigureCell(_estimate(score.value, score.interval) if (score := scores.get(slug)) else "–")
            for slug in titles
        ),
    )


def _spec(shown: Sequence[Entry], titles: Mapping[str, str]) -> dict[str, Any]:
    order = [str(place) for place in range(len(shown))]
    height = _ROW * len(shown)
    y = alt.Y("row:O", sort=order, axis=None, scale=alt.Scale(domain=order))
    names = (
        alt.Chart(
            alt.Data(
                values=[
                    {"row": str(i), "name": shortened(e.method, 22), "mark": description(i)}
                    for i, e in enumerate(shown)
                ]
            )
        )
        .mark_text(align="right", baseline="middle")
        .encode(x=alt.value(_NAMES), y=y, text="name:N", description="mark:N")
        .properties(width=_NAMES, height=height)
    )
    panels: list[Any] = [names, _panel("Average", _averages(shown), y, height)]
    for slug, title in titles.items():
        values = [
            _value(i, score.value, score.interval)
            for i, entry in enumerate(shown)
            for score in entry.scores
            if score.benchmark == slug and score.value is not None
        ]
        if values:
            panels.append(_panel(shortened(title, 20), values, y, height))
    return specification(alt.hconcat(*panels, spacing=14))


def _averages(shown: Sequence[Entry]) -> list[dict[str, Any]]:
    return [_value(i, entry.average, entry.interval) for i, entry in enumerate(shown)]


def _value(place: int, value: float | None, interval: Interval | None) -> dict[str, Any]:
    assert value is not None
    low, high = interval or (value, value)
    return {"row": str(place), "score": 100 * value, "low": 100 * low, "high": 100 * high}


def _panel(title: str, values: list[dict[str, Any]], y: alt.Y, height: int) -> Any:
    ends = padded([value[key] for value in values for key in ("low", "high")], 0.05, lowest=0)
    scale = alt.Scale(domain=list(ends), nice=False, zero=False)
    axis = alt.Axis(tickCount=3, grid=True, labelFontSize=11)
    x = alt.X("low:Q", title=None, scale=scale, axis=axis)
    base = alt.Chart(alt.Data(values=values))
    ranges = base.mark_rule(color=ACCENT, strokeWidth=4, opacity=0.5).encode(x=x, x2="high:Q", y=y)
    points = base.mark_tick(color=INK, thickness=2, height=12).encode(
        x=alt.X("score:Q", scale=scale, axis=axis, title=None), y=y
    )
    bands = base.mark_rule(color=MUTED, opacity=0.15).encode(y=y)
    return alt.layer(bands, ranges, points).properties(
        width=_PANEL, height=height, title=alt.TitleParams(title, offset=6)
    )
