"""Pictures within pages."""

from __future__ import annotations

from typing import Any

from django import template

from leaderboard.charts import catalogue
from leaderboard.snapshots import Snapshot

register = template.Library()


@register.inclusion_tag("leaderboard/_board_chart.html")
def board_chart(snapshot: Snapshot, name: str) -> dict[str, Any]:
    """A picture of a whole board, of its first track; nothing where there is nothing to draw."""
    groups = catalogue.groups(snapshot.standings)
    if not groups:
        return {"picture": None}
    return {
        "picture": catalogue.board_picture(snapshot, groups[0], name),
        "slug": snapshot.challenge,
    }
