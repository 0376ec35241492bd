"""Curves over the rounds of a federated run: losses, and the bytes that were sent so far."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import altair as alt

from evaluation.method.communication import MB
from leaderboard.charts.figure import Figure, FigureCell
from leaderboard.charts.inputs import RoundPoint
from leaderboard.charts.look import ACCENT, INK, MUTED, WIDTH, padded, specification

NAME, TITLE = "rounds", "Round by round"
_MOST_ROWS = 400
_MOST_TICKS = 8


def figure(rounds: Sequence[RoundPoint]) -> Figure:
    ordered = sorted(rounds, key=lambda point: point.round)
    losses = [p for p in ordered if p.train_loss is not None]
    if len(losses) < 2:
        return Figure(NAME, TITLE, "There are not enough rounds to draw a curve.")
    first, last = losses[0].train_loss, losses[-1].train_loss
    assert first is not None and last is not None
    total = sum(point.bytes_sent for point in ordered) / MB
    held_out = [p.held_out_loss for p in ordered if p.held_out_loss is not None]
    held = f"; on held-out rows it ended at {held_out[-1]:.4f}" if held_out else ""
    return Figure(
        name=NAME,
        title=TITLE,
        sentence=(
            f"Over {len(ordered)} rounds the clients' training loss went from {first:.4f} to "
            f"{last:.4f}{held}. "
            f"{total:,.1f} MB were sent in {sum(p.seconds for p in ordered):,.0f} s."
        ),
        head=("Round", "Training loss", "Held-out loss", "Sent (MB)", "Seconds"),
        rows=tuple(_row(point) for point in ordered[:_MOST_ROWS]),
        spec=_spec(ordered),
    )


def _row(point: RoundPoint) -> tuple[FigureCell, ...]:
    return (
        FigureCell(str(point.round)),
        FigureCell("–" if point.train_loss is None else f"{point.train_loss:.4f}"),
        FigureCell("–" if point.held_out_loss is None else f"{point.held_out_loss:.4f}"),
        FigureCell(f"{point.bytes_sent / MB:,.1f}"),
        FigureCell(f"{point.seconds:,.1f}"),
    )


def _ticks(first: int, last: int) -> list[int]:
    """Whole rounds, a round number of them apart, the last one always among them."""
    step = next(step for power in range(9) for step in (10**power, 2 * 10**power, 5 * 10**power)
                if (last - first) / step <= _MOST_TICKS)  # fmt: skip
    ticks = [first, *range(first - first % step + step, last + 1, step)]
    return [tick for tick in ticks if last - tick >= step / 2] + [last]


def _spec(rounds: Sequence[RoundPoint]) -> dict[str, Any]:
    losses: list[dict[str, Any]] = []
    for point in rounds:
        for what, value in (("training loss", point.train_loss), ("held-out loss", point.held_out_loss)):
            if value is not None:
                losses.append({"round": point.round, "what": what, "loss": value})
    sent, so_far = [], 0.0
    for point in rounds:
        so_far += point.bytes_sent / MB
        sent.append({"round": point.round, "sent": so_far})
    x = alt.X(
        "round:Q",
        title=None,
        scale=alt.Scale(domain=[rounds[0].round, rounds[-1].round], nice=False, zero=False),
        axis=alt.Axis(grid=False, values=_ticks(rounds[0].round, rounds[-1].round), format="d"),
    )
    legend = alt.Legend(orient="top", title=None, labelFontSize=12, labelColor=INK, symbolType="stroke")
    names = ["training loss", "held-out loss"]
    ends = padded([value["loss"] for value in losses], lowest=0)
    upper = (
        alt.Chart(alt.Data(values=losses))
        .mark_line(strokeWidth=2, point=len(rounds) <= 40)
        .encode(
            x=x,
            y=alt.Y("loss:Q", title="Loss", scale=alt.Scale(domain=list(ends), nice=False, zero=False)),
            color=alt.Color("what:N", legend=legend, scale=alt.Scale(domain=names, range=[ACCENT, INK])),
            strokeDash=alt.StrokeDash(
                "what:N", legend=legend, scale=alt.Scale(domain=names, range=[[1, 0], [5, 3]])
            ),
        )
        .properties(width=WIDTH, height=220)
    )
    lower = (
        alt.Chart(alt.Data(values=sent))
        .mark_line(color=MUTED, strokeWidth=2)
        .encode(x=x.copy(deep=True).title("Round"), y=alt.Y("sent:Q", title="Sent so far (MB)"))
        .properties(width=WIDTH, height=90)
    )
    return specification(alt.vconcat(upper, lower, spacing=16))
