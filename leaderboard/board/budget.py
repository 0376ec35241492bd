"""What can be had within a budget: the best of each challenge that pass the same limits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from evaluation.rules.challenges import CHALLENGES, Challenge
from leaderboard.board.columns import by_key
from leaderboard.board.filters import Filters, apply
from leaderboard.reading.snapshot_format import Snapshot
from leaderboard.standing.entries import Standing
from leaderboard.standing.preference import preferred

LIMITS = ("client_vram", "communication")
"""The columns of the costs that a budget bounds."""
FACET = "licence"
SHOWN = 5


@dataclass(frozen=True)
class Affordable:
    """A challenge: of `entries` trained ones, how many pass and the first of those that tell most.

    `query` is the view of the board that holds them; `silent` do not say what a limit bounds.
    """

    challenge: Challenge
    entries: int
    passing: int
    silent: int
    best: tuple[Standing, ...]
    query: str


def budget_of(filters: Filters) -> Filters:
    """What of a view is a budget: the size, the costs a client has, and the licence."""
    return Filters(
        max_size=filters.max_size,
        limits=tuple((key, limit) for key, limit in filters.limits if key in LIMITS),
        facets=tuple((name, values) for name, values in filters.facets if name == FACET),
    )


def budget_query(filters: Filters) -> str:
    """The address of the budget that a board's view has."""
    return budget_of(filters).to_query()


def within(board: Snapshot, budget: Filters) -> Affordable:
    """What of a board a budget allows. Untuned models take no part: nothing was trained."""
    view = replace(budget, protocol=None)
    trained = [s for s in board.standings if s.entry.adapted and s.entry.average is not None]
    passing = [s for s in apply(board, view) if s.entry.adapted and s.entry.average is not None]
    columns = [by_key()[key] for key, _ in budget.limits]
    silent = sum(any(column.value(s) is None for column in columns) for s in trained)
    best = tuple(preferred([s for s in passing if not s.entry.flags])[:SHOWN])
    return Affordable(CHALLENGES[board.challenge], len(trained), len(passing), silent, best, view.to_query())


def licences(boards: Sequence[Snapshot]) -> list[str]:
    """Of the base models that the boards' entries build on."""
    found = {s.entry.licence for board in boards for s in board.standings if s.entry.licence}
    return sorted(found, key=str.casefold)
