"""The Pareto front: what is best under each budget."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence

from leaderboard.standing.entries import Standing, Track


def pareto_front(points: Sequence[tuple[float, float]]) -> list[int]:
    """Positions of the points (cost, score) that no other beats, by rising cost.

    One point beats another that costs as much or more and scores as much or less, unless both are equal.
    The score of the last front point within a budget is the best that the budget buys.
    """
    order = sorted(range(len(points)), key=lambda i: (points[i][0], -points[i][1]))
    front: list[int] = []
    for position in order:
        cost, score = points[position]
        if not front or score > points[front[-1]][1] or (cost, score) == points[front[-1]]:
            front.append(position)
    return front


def front_of(found: Iterable[Standing], cost: str) -> frozenset[int]:
    """The ids of the trained entries that no other of their ranking beats, the cost being that resource.

    What stands apart has no front, nor has a ranking in which one entry alone says what it cost.
    """
    rankings: dict[tuple[Track, str], list[tuple[int, float, float]]] = defaultdict(list)
    for standing in found:
        entry = standing.entry
        known = entry.resources.get(cost)
        is_placed = standing.rank is not None or (standing.track is Track.DECLARED and not entry.flags)
        if is_placed and entry.adapted and known and known.value > 0 and entry.average is not None:
            rankings[standing.track, entry.precision].append((entry.id, known.value, entry.average))
    return frozenset(
        members[position][0]
        for members in rankings.values()
        if len(members) > 1
        for position in pareto_front([(value, average) for _, value, average in members])
    )
