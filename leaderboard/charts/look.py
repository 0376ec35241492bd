"""How all pictures look: the site's colours by their CSS names, thin lines, little ink."""

from __future__ import annotations

import math
from typing import Any

import altair as alt

from leaderboard.charts.palette import FONT
from leaderboard.markup import xml_text

INK, MUTED, LINE, EDGE, ACCENT = (f"var(--{name})" for name in ("ink", "muted", "line", "edge", "accent"))
SURFACE = "var(--surface)"
SIZE = 12
WIDTH, HEIGHT = 560, 340

alt.data_transformers.disable_max_rows()


def specification(chart: alt.TopLevelMixin) -> dict[str, Any]:
    """The chart with the common look, ready to draw."""
    styled: Any = chart
    document: dict[str, Any] = styled.configure(
        font=FONT, background="transparent", padding=alt.Padding(left=2, right=10, top=4, bottom=2)
    ).to_dict()
    document = _writable(document)
    document["config"] |= {
        "view": {"stroke": None},
        "axis": {
            "labelColor": MUTED,
            "titleColor": MUTED,
            "gridColor": LINE,
            "domainColor": EDGE,
            "tickColor": EDGE,
            "labelFontSize": SIZE,
            "titleFontSize": SIZE,
            "titleFontWeight": "normal",
            "titlePadding": 8,
        },
        "text": {"fontSize": SIZE, "color": INK},
        "title": {"color": INK, "fontSize": SIZE, "fontWeight": "normal", "anchor": "middle"},
    }
    return document


def _writable(value: Any) -> Any:
    """The same without characters that no XML may hold, which a method's name may."""
    if isinstance(value, str):
        return xml_text(value)
    if isinstance(value, dict):
        return {key: _writable(item) for key, item in value.items()}
    return [_writable(item) for item in value] if isinstance(value, list) else value


def shortened(text: str, length: int = 26) -> str:
    return text if len(text) <= length else f"{text[: length - 1].rstrip()}…"


def padded(values: list[float], share: float = 0.08, *, lowest: float = -math.inf) -> tuple[float, float]:
    """The range of some values with room around it."""
    low, high = min(values), max(values)
    room = (high - low) * share or max(abs(high) * 0.05, 0.5)
    return max(lowest, low - room), high + room
