"""What a reader can afford: the best entries of the four challenges within one budget."""

from __future__ import annotations

from dataclasses import dataclass

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from evaluation.rules.challenges import CHALLENGES
from leaderboard.board.budget import FACET, LIMITS, budget_of, licences, within
from leaderboard.board.columns import by_key
from leaderboard.board.filters import Filters
from leaderboard.pages import cached
from leaderboard.reading import snapshots
from leaderboard.reading.snapshots import Snapshot

_HELP = {
    "client_vram": "The largest card that every client of yours has",
    "communication": "Of the whole training, both directions, all clients",
}


@dataclass(frozen=True)
class Bound:
    """An upper bound that a reader may set."""

    name: str
    title: str
    unit: str
    help: str
    value: float | None


@require_safe
def budget(request: HttpRequest) -> HttpResponse:
    asked = budget_of(Filters.of(request.GET))
    boards = [snapshots.current(slug) for slug in CHALLENGES]
    key = ("budget", *(board.version for board in boards), asked.to_query())
    return cached.shared(request, key, lambda: _page(request, boards, asked), rare=asked.is_rare)


def _page(request: HttpRequest, boards: list[Snapshot], asked: Filters) -> HttpResponse:
    columns = [by_key()[key] for key in LIMITS]
    chosen = asked.chosen(FACET)
    context = {
        "bounds": [Bound(f"max_{c.key}", c.title, c.unit, _HELP[c.key], asked.limit(c.key)) for c in columns],
        "max_size": asked.max_size,
        "licences": [(licence, licence in chosen) for licence in licences(boards)],
        "found": [within(board, asked) for board in boards],
        "narrowed": asked.narrows,
        "section": "boards",
    }
    return render(request, "leaderboard/budget.html", context)
