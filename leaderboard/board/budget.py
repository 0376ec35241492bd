"""What can be had within a budget: the best of each challenge that pass the same limits."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
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
class Unstated:
    """A limited cost that `entries` trained ones do not state; `query` is the budget without that limit."""

    title: str
    entries: int
    query: str


@dataclass(frozen=True)
class Affordable:
    """A challenge: of `entries` trained ones, how many pass and the first of those that tell most.

    `query` is the view of the board that holds them; `unstated` are the limits that not all can be held to.
    """

    challenge: Challenge
    entries: int
    passing: int
    unstated: tuple[Unstated, ...]
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
    return Affordable(
        challenge=CHALLENGES[board.challenge],
        entries=len(trained),
        passing=len(passing),
        unstated=tuple(_unstated(trained, budget)),
        best=tuple(preferred([s for s in passing if not s.entry.flags])[:SHOWN]),
        query=view.to_query(),
    )


def _unstated(trained: Sequence[Standing], budget: Filters) -> Iterator[Unstated]:
    for key, _ in budget.limits:
        column = by_key()[key]
        if entries := sum(column.value(standing) is None for standing in trained):
            without = replace(budget, limits=tuple(limit for limit in budget.limits if limit[0] != key))
            yield Unstated(column.title, entries, without.to_query())


def licences(boards: Sequence[Snapshot]) -> list[str]:
    """Of the base models that the boards' entries build on."""
    found = {s.entry.licence for board in boards for s in board.standings if s.entry.licence}
    return sorted(found, key=str.casefold)
