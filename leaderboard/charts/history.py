"""The best score over time: each entry that raised it, on the day it was published."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import altair as alt
from django.urls import reverse

from leaderboard.charts.figure import Cell, Figure, Mark, description, named
from leaderboard.charts.look import (
    ACCENT,
    HEIGHT,
    MUTED,
    SURFACE,
    WIDTH,
    padded,
    percent,
    specification,
)
from leaderboard.entries import Entry

NAME, TITLE = "history", "The best score over time"
MOST_POINTS = 200


def records(entries: Sequence[Entry]) -> list[Entry]:
    """The entries whose average was above all that were published before, the oldest first."""
    found: list[Entry] = []
    for entry in sorted(entries, key=lambda e: (e.published_at, e.id)):
        if entry.average is not None and (not found or entry.average > (found[-1].average or 0.0)):
            found.append(entry)
    return found


def board_figure(_name: str, entries: Sequence[Entry], _titles: Mapping[str, str]) -> Figure:
    scored = [entry for entry in entries if entry.average is not None]
    best = records(scored)
    if len({entry.published_at.date() for entry in scored}) < 2:
        return Figure(NAME, TITLE, "There is no history yet: all entries are of one day.")
    raised = {entry.id for entry in best}
    others = sorted((e for e in scored if e.id not in raised), key=lambda e: -(e.average or 0.0))
    drawn = [*best, *others[: max(0, MOST_POINTS - len(best))]]
    first, last = best[0], best[-1]
    assert first.average is not None and last.average is not None
    return Figure(
        name=NAME,
        title=TITLE,
        sentence=(
            f"The best average rose from {percent(first.average)} on {first.published_at:%Y-%m-%d} to "
            f"{percent(last.average)} on {last.published_at:%Y-%m-%d}, in {len(best)} steps."
        ),
        head=("Published", "Method", "Base model", "Average (%)"),
        rows=tuple(_row(entry) for entry in best),
        marks=tuple(_mark(entry, entry.id in raised) for entry in drawn),
        spec=_spec(best, drawn),
        note=f"The best {len(drawn):,} of {len(scored):,} entries are drawn."
        if len(drawn) < len(scored)
        else "",
    )


def _mark(entry: Entry, raised: bool) -> Mark:
    assert entry.average is not None
    words = (
        f"{named(entry)}, {entry.published_at:%Y-%m-%d}: {percent(entry.average)}"
        f"{', a new best' if raised else ''}"
    )
    return Mark(words, reverse("entry", args=[entry.id]), tabbed=raised)


def _row(entry: Entry) -> tuple[Cell, ...]:
    assert entry.average is not None
    return (
        Cell(f"{entry.published_at:%Y-%m-%d}"),
        Cell(entry.method, reverse("entry", args=[entry.id])),
        Cell(entry.base_model),
        Cell(f"{100 * entry.average:.2f}"),
    )


def _spec(best: Sequence[Entry], drawn: Sequence[Entry]) -> dict[str, Any]:
    values = [
        _value(entry) | {"mark": description(place), "best": place < len(best)}
        for place, entry in enumerate(drawn)
    ]
    moments = [value["time"] for value in values]
    room = (max(moments) - min(moments)) * 0.04
    domain = [min(moments) - room, max(moments) + room]
    x = alt.X(
        "time:T",
        title=None,
        scale=alt.Scale(domain=domain, type="utc"),
        axis=alt.Axis(tickCount=6, grid=False, labelOverlap=True),
    )
    ends = padded([value["score"] for value in values], lowest=0)
    y = alt.Y("score:Q", title="Average (%)", scale=alt.Scale(domain=list(ends), nice=False))
    steps = [*map(_value, best), _value(best[-1]) | {"time": domain[1]}]
    line = (
        alt.Chart(alt.Data(values=steps))
        .mark_line(interpolate="step-after", color=ACCENT, strokeWidth=1.5, opacity=0.6)
        .encode(x=x, y=y)
    )
    points = alt.Chart(alt.Data(values=values)).encode(x=x, y=y, description="mark:N")
    plain = points.transform_filter("!datum.best").mark_point(filled=True, size=50, color=MUTED, opacity=0.5)
    raised = points.transform_filter("datum.best").mark_point(
        filled=True, size=95, color=ACCENT, opacity=1, stroke=SURFACE, strokeWidth=1
    )
    return specification(alt.layer(line, plain, raised).properties(width=WIDTH, height=HEIGHT))


def _value(entry: Entry) -> dict[str, Any]:
    return {"time": _milliseconds(entry.published_at), "score": 100 * (entry.average or 0.0)}


def _milliseconds(moment: datetime) -> float:
    return moment.astimezone(UTC).timestamp() * 1000
