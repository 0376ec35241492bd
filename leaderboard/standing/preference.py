"""What leads where entries of several tracks stand: the one order that home, headline, charts and feeds keep.

Official entries come first, then what was evaluated here under other conditions, then what teams declared;
demonstration data lead only where there is nothing else, for they say nothing about a benchmark.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from leaderboard.standing.entries import Standing, Track


def leader(found: Sequence[Standing]) -> Standing | None:
    """The first in the board's own order of those that tell most; None where none has an average."""
    complete = [standing for standing in found if standing.entry.average is not None]
    return min(complete, key=_preference, default=None)


def preferred(found: Sequence[Standing]) -> list[Standing]:
    """Those that are compared with the leader: of one track and precision, the best first."""
    first = leader(found)
    if first is None:
        return []
    alike = [s for s in found if s.track is first.track and s.entry.precision == first.entry.precision]
    return sorted(alike, key=lambda s: -(s.entry.average or 0.0))


def without_demonstration(found: Iterable[Standing]) -> list[Standing]:
    """The same without entries on demonstration data, unless there are no others."""
    kept = list(found)
    return [standing for standing in kept if standing.entry.mark != "demonstration"] or kept


def _preference(standing: Standing) -> tuple[bool, bool, int, bool]:
    """The lower, the more an entry's average tells."""
    is_placed = standing.rank is not None or standing.track in (Track.DECLARED, Track.UNOFFICIAL)
    order = list(Track).index(standing.track)
    return bool(standing.entry.flags), standing.entry.mark == "demonstration", order, not is_placed
