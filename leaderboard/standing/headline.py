"""What a board's page says first: the best entry of the view, how sure that is, and what it cost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from evaluation.method.communication import GB
from leaderboard.standing.entries import Standing
from leaderboard.standing.preference import leader

FRUGAL = 2.0
"""How many GB of communication are little."""


@dataclass(frozen=True)
class Headline:
    """The `leader` of a view. `alike` entries of the view were ranked with it, itself among them; of these
    `rivals` others have ranges of ranks that overlap its own. `frugal` is the best of them, the leader
    included, that trained and sent at most FRUGAL GB."""

    leader: Standing
    alike: int
    rivals: int
    frugal: Standing | None


def headline(found: Sequence[Standing]) -> Headline | None:
    """Of standings in the board's own order; None where none has an average."""
    first = leader(found)
    if first is None:
        return None
    kind = _kind(first)
    alike = [s for s in found if _kind(s) == kind]
    return Headline(
        leader=first,
        alike=len(alike),
        rivals=sum(_overlap(first, other) for other in alike if other is not first),
        frugal=next((s for s in alike if _is_frugal(s)), None),
    )


def _kind(standing: Standing) -> tuple[object, ...]:
    """Equal for entries that stand in one table."""
    return standing.track, standing.rank is None, standing.entry.precision, bool(standing.entry.flags)


def _overlap(one: Standing, other: Standing) -> bool:
    """Whether the tests leave open which is better."""
    if one.rank_range is None or other.rank_range is None:
        return True
    return one.rank_range.best <= other.rank_range.worst and other.rank_range.best <= one.rank_range.worst


def _is_frugal(standing: Standing) -> bool:
    cost = standing.entry.communication
    return standing.entry.adapted and cost is not None and 0 < cost.value <= FRUGAL * GB
