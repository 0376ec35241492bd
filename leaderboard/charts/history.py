"""The best score over time: each entry that raised it, on the day it was published."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, time
from typing import Any

import altair as alt

from leaderboard.charts.figure import Figure, FigureCell, Mark, address, description, named
from leaderboard.charts.look import (
    ACCENT,
    HEIGHT,
    MUTED,
    SURFACE,
    WIDTH,
    padded,
    specification,
)
from leaderboard.figures import percent
from leaderboard.standing.entries import Entry

NAME, TITLE = "history", "The best score over time"
MOST_POINTS = 200


def records(entries: Sequence[Entry]) -> list[Entry]:
    """The entries whose average was above all that were published before, the oldest first; none undated."""
    found: list[Entry] = []
    for entry in sorted((e for e in entries if e.day), key=_age):
        if entry.average is not None and (not found or entry.average > (found[-1].average or 0.0)):
            found.append(entry)
    return found


def board_figure(_name: str, entries: Sequence[Entry], _titles: Mapping[str, str]) -> Figure:
    complete = [entry for entry in entries if entry.average is not None]
    scored = [entry for entry in complete if entry.day]
    best = records(scored)
    if len({entry.day for entry in scored}) < 2:
        return Figure(NAME, TITLE, "There is no history yet: all entries are of one day.")
    raised = {entry.id for entry in best}
    others = sorted((e for e in scored if e.id not in raised), key=lambda e: -(e.average or 0.0))
    drawn = [*best, *others[: max(0, MOST_POINTS - len(best))]]
    return Figure(
        name=NAME,
        title=TITLE,
        sentence=_sentence(best),
        head=("Published", "Method", "Base model", "Average (%)"),
        rows=tuple(_row(entry) for entry in best),
        marks=tuple(_mark(entry, entry.id in raised) for entry in drawn),
        spec=_spec(best, drawn),
        note=_note(complete, scored, drawn),
    )


def _sentence(best: Sequence[Entry]) -> str:
    first, last = best[0], best[-1]
    assert first.average is not None and last.average is not None
    if first is last:
        return f"No entry was above {named(first)} since {first.day}: {percent(first.average)}%."
    steps = "one step" if len(best) == 2 else f"{len(best) - 1} steps"
    return (
        f"The best average rose from {percent(first.average)}% on {first.day} to "
        f"{percent(last.average)}% on {last.day}, in {steps}."
    )


def _note(complete: Sequence[Entry], dated: Sequence[Entry], drawn: Sequence[Entry]) -> str:
    undated = len(complete) - len(dated)
    notes = (
        "Dates are those of the source." if any(e.kind == "imported" for e in drawn) else "",
        f"The best {len(drawn):,} of {len(dated):,} entries are drawn." if len(drawn) < len(dated) else "",
        f"{undated:,} without a date {'is' if undated == 1 else 'are'} left out." if undated else "",
    )
    return " ".join(filter(None, notes))


def _age(entry: Entry) -> tuple[date, float, int]:
    assert entry.day is not None
    return entry.day, entry.published_at.timestamp(), entry.id


def _mark(entry: Entry, raised: bool) -> Mark:
    assert entry.average is not None
    words = f"{named(entry)}, {entry.day}: {percent(entry.average)}%{', a new best' if raised else ''}"
    return Mark(words, address(entry), tabbed=raised)


def _row(entry: Entry) -> tuple[FigureCell, ...]:
    assert entry.average is not None
    return (
        FigureCell(str(entry.day)),
        FigureCell(entry.method, address(entry)),
        FigureCell(entry.base_model),
        FigureCell(percent(entry.average)),
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
    return {"time": _milliseconds(entry), "score": 100 * (entry.average or 0.0)}


def _milliseconds(entry: Entry) -> float:
    if entry.kind != "imported":
        return entry.published_at.timestamp() * 1000
    assert entry.day is not None
    return datetime.combine(entry.day, time(), UTC).timestamp() * 1000
