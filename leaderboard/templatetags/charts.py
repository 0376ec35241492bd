"""Pictures within pages."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django import template

from leaderboard.charts import catalogue
from leaderboard.entries import Standing
from leaderboard.snapshots import Snapshot

register = template.Library()


@register.inclusion_tag("leaderboard/_board_chart.html")
def board_chart(
    snapshot: Snapshot, standings: Sequence[Standing], name: str, query: str = ""
) -> dict[str, Any]:
    """A picture of a view of a board: its `standings`, all pages of them; `query` is the view's own.

    Shows nothing where the view has nothing to draw.
    """
    groups = catalogue.groups(standings)
    if not groups:
        return {"picture": None}
    return {
        "picture": catalogue.board_picture(snapshot, groups[0], name),
        "slug": snapshot.challenge,
        "group": groups[0],
        "query": query,
    }
