"""Strategy by base model: the best average of each pair that was tried."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt

from leaderboard.charts.figure import Cell, Figure, Mark, address, description
from leaderboard.charts.look import ACCENT, INK, LINE, percent, shortened, specification
from leaderboard.entries import Entry

NAME, TITLE = "strategies", "Strategy by base model"
MOST_STRATEGIES, MOST_MODELS = 10, 16
UNKNOWN = "not stated"
_COLUMN, _ROW = 82, 30
# Words in the ink's colour must stay readable on the darkest cell, in both schemes.
_FAINTEST, _STRONGEST = 0.06, 0.42


def board_figure(_name: str, entries: Sequence[Entry], _titles: Mapping[str, str]) -> Figure:
    scored = [entry for entry in entries if entry.average is not None]
    if not scored:
        return Figure(NAME, TITLE, "No entry of this view has a complete score.")
    if not any(entry.strategy for entry in scored):
        return Figure(NAME, TITLE, "No entry of this view states its strategy.")
    strategies = _most_used([e.strategy or UNKNOWN for e in scored], MOST_STRATEGIES)
    models = _most_used([e.base_model for e in scored], MOST_MODELS)
    best: dict[tuple[str, str], Entry] = {}
    for entry in scored:
        pair = (entry.strategy or UNKNOWN, entry.base_model)
        if pair not in best or (entry.average or 0) > (best[pair].average or 0):
            best[pair] = entry
    shown = [best[pair] for m in models for s in strategies if (pair := (s, m)) in best]
    winner = max(shown, key=lambda e: e.average or 0)
    assert winner.average is not None
    left_out = len(best) - len(shown)
    return Figure(
        name=NAME,
        title=TITLE,
        sentence=(
            f"{len(best)} pairs of strategy and base model were tried; the best is {_pair(winner)} "
            f"with {percent(winner.average)}. "
            "A cell leads to the best entry of its pair."
        ),
        head=("Base model", "Strategy", "Best average (%)", "Method"),
        rows=tuple(_row(entry) for entry in shown),
        marks=tuple(_mark(entry) for entry in shown),
        spec=_spec(shown, strategies, models),
        note=f"{left_out} pairs of rarer strategies and base models are left out." if left_out else "",
    )


def _most_used(names: Sequence[str], most: int) -> list[str]:
    return [name for name, _ in Counter(names).most_common(most)]


def _pair(entry: Entry) -> str:
    return f"{entry.strategy or 'a strategy not stated'} on {entry.base_model}"


def _mark(entry: Entry) -> Mark:
    assert entry.average is not None
    words = (
        f"{_pair(entry)}: {percent(entry.average)}, {entry.method}{f' by {entry.team}' if entry.team else ''}"
    )
    return Mark(words, address(entry))


def _row(entry: Entry) -> tuple[Cell, ...]:
    return (
        Cell(entry.base_model),
        Cell(entry.strategy or UNKNOWN),
        Cell(f"{100 * (entry.average or 0):.2f}"),
        Cell(entry.method, address(entry)),
    )


def _spec(shown: Sequence[Entry], strategies: Sequence[str], models: Sequence[str]) -> dict[str, Any]:
    values = [
        {
            "strategy": shortened(entry.strategy or UNKNOWN, 14),
            "model": shortened(entry.base_model, 30),
            "score": 100 * (entry.average or 0),
            "mark": description(place),
        }
        for place, entry in enumerate(shown)
    ]
    x = alt.X(
        "strategy:N",
        title=None,
        sort=[shortened(name, 14) for name in strategies],
        axis=alt.Axis(orient="top", labelAngle=0 if len(strategies) <= 6 else -30, domain=False, ticks=False),
    )
    y = alt.Y(
        "model:N",
        title=None,
        sort=[shortened(name, 30) for name in models],
        axis=alt.Axis(domain=False, ticks=False, labelLimit=240),
    )
    base = alt.Chart(alt.Data(values=values)).encode(x=x, y=y)
    cells = base.mark_rect(color=ACCENT, stroke=LINE, strokeWidth=1).encode(
        description="mark:N",
        fillOpacity=alt.FillOpacity(
            "score:Q", legend=None, scale=alt.Scale(range=[_FAINTEST, _STRONGEST], zero=False)
        ),
    )
    words = base.mark_text(color=INK).encode(text=alt.Text("score:Q", format=".1f"))
    width, height = max(380, _COLUMN * len(strategies)), max(60, _ROW * len(models))
    return specification(alt.layer(cells, words).properties(width=width, height=height))
