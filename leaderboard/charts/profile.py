"""An entry's profile: each benchmark against the untuned base model and the best of the board."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import altair as alt

from leaderboard.charts.figure import Figure, FigureCell, Mark, address, description, named
from leaderboard.charts.inputs import Peers
from leaderboard.charts.look import ACCENT, EDGE, INK, LINE, SURFACE, WIDTH, padded, specification
from leaderboard.figures import percent
from leaderboard.standing.entries import BenchmarkScore, Entry

NAME, TITLE = "profile", "Against the base model and the best"
_ROW = 44
_LEGEND = ("this entry, 95% interval", "untuned base model", "best of the board")


def figure(entry: Entry, peers: Peers, titles: Mapping[str, str]) -> Figure:
    """`titles` are the challenge's benchmarks with their titles, in its order."""
    own = [score for score in entry.scores if score.value is not None and score.benchmark in titles]
    if not own:
        return Figure(NAME, TITLE, "The entry has no score to draw.")
    return Figure(
        name=NAME,
        title=TITLE,
        sentence=_sentence(entry, own, peers, titles),
        head=("Benchmark", "This entry (%)", "Untuned base (%)", "Best (%)", "Best entry"),
        rows=tuple(_row(score, peers, titles) for score in own),
        marks=tuple(
            Mark(f"Best on {titles[s.benchmark]}: {named(best)}", address(best))
            for s in own
            if (best := _best(s.benchmark, entry, peers))
        ),
        spec=_spec(entry, own, peers, titles),
    )


def _sentence(entry: Entry, own: list[BenchmarkScore], peers: Peers, titles: Mapping[str, str]) -> str:
    leading = [titles[s.benchmark] for s in own if (b := peers.best.get(s.benchmark)) and b.id == entry.id]
    parts = [f"Best of the board on {', '.join(leading)}." if leading else ""]
    if peers.base and peers.base.id != entry.id:
        gains = [
            f"{100 * (score.value - base):+.1f} on {titles[score.benchmark]}"
            for score in own
            if score.value is not None and (base := _value_of(peers.base, score.benchmark)) is not None
        ]
        parts.append(f"Against the untuned base model, in points: {', '.join(gains)}." if gains else "")
    elif not peers.base and entry.adapted:
        parts.append("The untuned base model was not evaluated under the same conditions.")
    return " ".join(filter(None, parts)) or "The entry's own scores."


def _value_of(entry: Entry | None, benchmark: str) -> float | None:
    scores = entry.scores if entry else ()
    return next((score.value for score in scores if score.benchmark == benchmark), None)


def _row(score: BenchmarkScore, peers: Peers, titles: Mapping[str, str]) -> tuple[FigureCell, ...]:
    best = peers.best.get(score.benchmark)
    return (
        FigureCell(titles[score.benchmark]),
        FigureCell(percent(score.value) or "–"),
        FigureCell(percent(_value_of(peers.base, score.benchmark)) or "–"),
        FigureCell(percent(_value_of(best, score.benchmark)) or "–"),
        FigureCell(best.method, address(best)) if best else FigureCell("–"),
    )


def _best(benchmark: str, entry: Entry, peers: Peers) -> Entry | None:
    """The best entry, where that is another one."""
    best = peers.best.get(benchmark)
    return best if best and best.id != entry.id else None


def _spec(entry: Entry, own: list[BenchmarkScore], peers: Peers, titles: Mapping[str, str]) -> dict[str, Any]:
    order = [titles[score.benchmark] for score in own]
    values: list[dict[str, Any]] = []
    marks = 0
    for score in own:
        row = {"benchmark": titles[score.benchmark]}
        low, high = score.interval or (score.value, score.value)
        assert score.value is not None and low is not None and high is not None
        values.append(
            row | {"what": _LEGEND[0], "score": 100 * score.value, "low": 100 * low, "high": 100 * high}
        )
        if (base := _value_of(peers.base, score.benchmark)) is not None:
            values.append(row | {"what": _LEGEND[1], "score": 100 * base})
        if best := _best(score.benchmark, entry, peers):
            value = _value_of(best, score.benchmark)
            assert value is not None
            values.append(row | {"what": _LEGEND[2], "score": 100 * value, "mark": description(marks)})
            marks += 1
    numbers = [value[key] for value in values for key in ("score", "low", "high") if key in value]
    scale = alt.Scale(domain=list(padded(numbers, lowest=0)), nice=False, zero=False)
    x = alt.X("score:Q", title="Accuracy (%)", scale=scale, axis=alt.Axis(tickCount=6))
    # Browsers' fonts are wider than the one that the picture is laid out with, and a point at 0 must not
    # cover a label's end.
    room = min(160, 7 * max(map(len, order), default=0))
    y = alt.Y(
        "benchmark:N",
        title=None,
        sort=order,
        axis=alt.Axis(domain=False, ticks=False, labelLimit=160, labelPadding=8, minExtent=room),
    )
    legend = alt.Legend(
        orient="top", title=None, labelFontSize=12, labelColor=INK, labelLimit=260, columnPadding=36
    )
    present = [what for what in _LEGEND if any(value["what"] == what for value in values)]
    looks = dict(zip(_LEGEND, ((ACCENT, "circle"), (EDGE, "square"), (INK, "triangle-up")), strict=True))
    base_chart = alt.Chart(alt.Data(values=values))
    grid = base_chart.mark_rule(color=LINE).encode(y=y)
    ranges = (
        base_chart.transform_filter("isValid(datum.low)")
        .mark_rule(color=ACCENT, strokeWidth=5, opacity=0.45)
        .encode(x=alt.X("low:Q", scale=scale), x2="high:Q", y=y)
    )
    points = base_chart.mark_point(filled=True, size=90, opacity=1, stroke=SURFACE, strokeWidth=1).encode(
        x=x,
        y=y,
        color=alt.Color(
            "what:N",
            legend=legend,
            scale=alt.Scale(domain=present, range=[looks[what][0] for what in present]),
        ),
        shape=alt.Shape(
            "what:N",
            legend=legend,
            scale=alt.Scale(domain=present, range=[looks[what][1] for what in present]),
        ),
        description="mark:N",
    )
    return specification(
        alt.layer(grid, ranges, points).properties(width=WIDTH - 60, height=_ROW * len(order))
    )
