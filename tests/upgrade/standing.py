"""What an upgrade must leave as it is on the boards: who stands where, with which scores."""

from __future__ import annotations

from typing import Any

from evaluation.rules.challenges import CHALLENGES
from leaderboard.reading import snapshots


def boards() -> dict[str, list[list[Any]]]:
    """By challenge, as JSON: entry, track, rank, range of ranks, group of ties, scores by benchmark."""
    return {slug: [_place(one) for one in snapshots.afresh(slug).standings] for slug in CHALLENGES}


def _place(one: Any) -> list[Any]:
    reach = [one.rank_range.best, one.rank_range.worst] if one.rank_range else None
    scores = {score.benchmark: score.value for score in one.entry.scores}
    return [one.entry.id, str(one.track), one.rank, reach, one.tie_group, scores]
