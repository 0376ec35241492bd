"""Strategy by base model: the best average of each pair that was tried."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import altair as alt

from leaderboard.charts.figure import Figure, FigureCell, Mark, address, description
from leaderboard.charts.look import ACCENT, INK, LINE, shortened, specification
from leaderboard.figures import percent
from leaderboard.standing.entries import Entry

NAME, TITLE = "strategies", "Strategy by base model"
MOST_STRATEGIES, MOST_MODELS = 10, 16
UNTUNED, UNKNOWN = "untuned", "not stated"
_COLUMN, _ROW = 82, 30
# Words in the ink's colour must stay readable on the darkest cell, in both schemes.
_FAINTEST, _STRONGEST = 0.06, 0.42


@dataclass(frozen=True)
class _Cell:
    """A strategy with a base model: the best entry of `tried`."""

    strategy: str
    model: str
    best: Entry
    tried: int

    @property
    def score(self) -> float:
        assert self.best.average is not None
        return self.best.average

    @property
    def words(self) -> str:
        if self.strategy == UNTUNED:
            return f"{self.model} untuned"
        return f"{'a strategy not stated' if self.strategy == UNKNOWN else self.strategy} on {self.model}"


def board_figure(_name: str, entries: Sequence[Entry], _titles: Mapping[str, str]) -> Figure:
    scored = [entry for entry in entries if entry.average is not None]
    if not scored:
        return Figure(NAME, TITLE, "No entry of this view has a complete score.")
    if not any(entry.strategy for entry in scored if entry.adapted):
        return Figure(NAME, TITLE, "No entry of this view states its strategy.")
    names = _names(scored)
    tried = _cells(scored, names)
    strategies, models = _strategies(scored), _models(scored, names)
    cells = [found for m in models for s in strategies if (found := tried.get((s, m)))]
    left_out = len(tried) - len(cells)
    return Figure(
        name=NAME,
        title=TITLE,
        sentence=_sentence([cell for cell in tried.values() if cell.strategy != UNTUNED]),
        head=("Base model", "Strategy", "Best average (%)", "Of entries", "Method"),
        rows=tuple(_row(cell) for cell in cells),
        marks=tuple(_mark(cell) for cell in cells),
        spec=_spec(cells, strategies, models),
        note=f"{left_out} pairs of rarer strategies and base models are left out." if left_out else "",
    )


def _cells(entries: Sequence[Entry], names: Mapping[str, str]) -> dict[tuple[str, str], _Cell]:
    pairs: dict[tuple[str, str], list[Entry]] = {}
    for entry in entries:
        pairs.setdefault((_strategy(entry), names[entry.hub_id]), []).append(entry)
    return {
        pair: _Cell(*pair, max(own, key=lambda e: e.average or 0.0), len(own)) for pair, own in pairs.items()
    }


def _strategy(entry: Entry) -> str:
    return (entry.strategy or UNKNOWN) if entry.adapted else UNTUNED


def _names(entries: Sequence[Entry]) -> dict[str, str]:
    """By hub id: the model's own name, the whole id where two share that."""
    own = {entry.hub_id: entry.base_model for entry in entries}
    shared = Counter(own.values())
    return {hub_id: hub_id if shared[name] > 1 else name for hub_id, name in own.items()}


def _strategies(entries: Sequence[Entry]) -> list[str]:
    """The most used; what is untuned before all, what is not stated after them."""
    used = Counter(_strategy(entry) for entry in entries)
    stated = [name for name, _ in used.most_common() if name not in (UNTUNED, UNKNOWN)][:MOST_STRATEGIES]
    return [*([UNTUNED] if used[UNTUNED] else []), *stated, *([UNKNOWN] if used[UNKNOWN] else [])]


def _models(entries: Sequence[Entry], names: Mapping[str, str]) -> list[str]:
    """The most used, the smallest first; those of unknown size last."""
    used = Counter(names[entry.hub_id] for entry in entries)
    sizes = {names[entry.hub_id]: entry.parameters or math.inf for entry in entries}
    return sorted((name for name, _ in used.most_common(MOST_MODELS)), key=lambda name: (sizes[name], name))


def _sentence(tried: Sequence[_Cell]) -> str:
    best = max(tried, key=lambda cell: cell.score)
    pairs = "1 pair of strategy and base model was" if len(tried) == 1 else f"{len(tried)} pairs were"
    return (
        f"{pairs} tried; the best is {best.words} with {percent(best.score)}%. A cell leads to the best of "
        "its pair's entries: the more there were, the more it owes to luck."
    )


def _mark(cell: _Cell) -> Mark:
    by = f" by {cell.best.team}" if cell.best.team else ""
    of = f", the best of {cell.tried} entries" if cell.tried > 1 else ""
    return Mark(f"{cell.words}: {percent(cell.score)}%, {cell.best.method}{by}{of}", address(cell.best))


def _row(cell: _Cell) -> tuple[FigureCell, ...]:
    return (
        FigureCell(cell.model),
        FigureCell(cell.strategy),
        FigureCell(percent(cell.score)),
        FigureCell(str(cell.tried)),
        FigureCell(cell.best.method, address(cell.best)),
    )


def _spec(cells: Sequence[_Cell], strategies: Sequence[str], models: Sequence[str]) -> dict[str, Any]:
    values = [
        {
            "strategy": shortened(cell.strategy, 14),
            "model": shortened(cell.model, 30),
            "score": 100 * cell.score,
            "mark": description(place),
        }
        for place, cell in enumerate(cells)
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
    squares = base.mark_rect(color=ACCENT, stroke=LINE, strokeWidth=1).encode(
        description="mark:N",
        fillOpacity=alt.FillOpacity(
            "score:Q", legend=None, scale=alt.Scale(range=[_FAINTEST, _STRONGEST], zero=False)
        ),
    )
    words = base.mark_text(color=INK).encode(text=alt.Text("score:Q", format=".1f"))
    width, height = max(380, _COLUMN * len(strategies)), max(60, _ROW * len(models))
    return specification(alt.layer(squares, words).properties(width=width, height=height))
