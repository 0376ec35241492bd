"""The Pareto front: what is best under each budget."""

from __future__ import annotations

from collections.abc import Sequence


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
