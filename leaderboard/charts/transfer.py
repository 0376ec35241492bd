"""What the best entries change on each domain against their base models: forgetting is left of the line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt

from evaluation.rules.challenges import CHALLENGES
from leaderboard.charts.figure import Figure, FigureCell, Mark, address, description, named
from leaderboard.charts.look import ACCENT, EDGE, INK, MUTED, padded, shortened, specification
from leaderboard.figures import points_range, signed_points
from leaderboard.standing.entries import Entry
from leaderboard.standing.transfer import DomainChange

NAME, TITLE = "transfer", "Transfer and forgetting"
MOST_ENTRIES = 20
_ROW, _NAMES, _PANEL = 22, 170, 118


def board_figure(_name: str, entries: Sequence[Entry], _titles: Mapping[str, str]) -> Figure:
    """Entries in board order."""
    measured = [entry for entry in entries if entry.transfer]
    shown = measured[:MOST_ENTRIES]
    if not shown:
        return Figure(NAME, TITLE, "No entry of this view was measured on other domains.")
    others = f"The first {len(shown)} of {len(measured):,} measured entries are drawn."
    return Figure(
        name=NAME,
        title=TITLE,
        sentence=_sentence(measured),
        head=(
            "Method",
            "Base model",
            *(f"Change on {challenge.title} (points)" for challenge in CHALLENGES.values()),
        ),
        rows=tuple(_row(entry) for entry in shown),
        marks=tuple(Mark(f"{named(entry)}: {_words(entry)}", address(entry)) for entry in shown),
        spec=_spec(shown),
        note=others if len(shown) < len(measured) else "",
    )


def _sentence(measured: Sequence[Entry]) -> str:
    whole = [entry for entry in measured if entry.worst_elsewhere]
    forgot = [
        entry
        for entry in whole
        if (worst := entry.worst_elsewhere) and worst.interval and worst.interval[1] < 0
    ]
    return (
        f"Of {len(whole):,} entries that were measured on every other domain, {len(forgot):,} got worse on "
        "at least one by more than chance explains; each against its own base model, on the same items."
    )


def _words(entry: Entry) -> str:
    return ", ".join(
        f"{signed_points(change.difference)} on {CHALLENGES[change.domain].title}"
        for change in entry.transfer
    )


def _row(entry: Entry) -> tuple[FigureCell, ...]:
    changes = {change.domain: change for change in entry.transfer}
    return (
        FigureCell(entry.method, address(entry)),
        FigureCell(entry.base_model),
        *(FigureCell(_cell(changes.get(slug))) for slug in CHALLENGES),
    )


def _cell(change: DomainChange | None) -> str:
    if change is None:
        return "–"
    limits = f" ({points_range(change.interval)})" if change.interval else ""
    return f"{signed_points(change.difference)}{limits}"


def _spec(shown: Sequence[Entry]) -> dict[str, Any]:
    order = [str(place) for place in range(len(shown))]
    height = _ROW * len(shown)
    y = alt.Y("row:O", sort=order, axis=None, scale=alt.Scale(domain=order))
    rows = [
        {"row": str(place), "name": shortened(entry.method, 22), "mark": description(place)}
        for place, entry in enumerate(shown)
    ]
    names = (
        alt.Chart(alt.Data(values=rows))
        .mark_text(align="right", baseline="middle")
        .encode(x=alt.value(_NAMES), y=y, text="name:N", description="mark:N")
        .properties(width=_NAMES, height=height)
    )
    panels: list[Any] = [names]
    for slug, challenge in CHALLENGES.items():
        values = [
            _value(place, change)
            for place, entry in enumerate(shown)
            for change in entry.transfer
            if change.domain == slug
        ]
        if values:
            panels.append(_panel(challenge.title, values, y, height))
    return specification(alt.hconcat(*panels, spacing=14))


def _value(place: int, change: DomainChange) -> dict[str, Any]:
    low, high = change.interval or (change.difference, change.difference)
    return {"row": str(place), "change": 100 * change.difference, "low": 100 * low, "high": 100 * high}


def _panel(title: str, values: list[dict[str, Any]], y: alt.Y, height: int) -> Any:
    ends = padded([0.0, *(value[key] for value in values for key in ("low", "high"))], 0.05)
    scale = alt.Scale(domain=list(ends), nice=False, zero=False)
    axis = alt.Axis(tickCount=3, grid=True, labelFontSize=11, format="+.3~r")
    x = alt.X("low:Q", title=None, scale=scale, axis=axis)
    base = alt.Chart(alt.Data(values=values))
    nothing = (
        alt.Chart(alt.Data(values=[{"nothing": 0}]))
        .mark_rule(color=EDGE, strokeDash=[3, 3])
        .encode(x=alt.X("nothing:Q", scale=scale, axis=axis, title=None))
    )
    bands = base.mark_rule(color=MUTED, opacity=0.15).encode(y=y)
    ranges = base.mark_rule(color=ACCENT, strokeWidth=4, opacity=0.5).encode(x=x, x2="high:Q", y=y)
    ticks = base.mark_tick(color=INK, thickness=2, height=12).encode(
        x=alt.X("change:Q", scale=scale, axis=axis, title=None), y=y
    )
    return alt.layer(bands, nothing, ranges, ticks).properties(
        width=_PANEL, height=height, title=alt.TitleParams(title, offset=6)
    )
