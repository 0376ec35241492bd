"""The home page: what is best in each challenge, and what was published last."""

from __future__ import annotations

from dataclasses import dataclass

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from evaluation.rules.challenges import CHALLENGES, Challenge
from leaderboard.pages import cached
from leaderboard.reading import snapshots
from leaderboard.reading.snapshots import Snapshot
from leaderboard.standing.entries import Standing
from leaderboard.standing.preference import without_demonstration

RECENT = 6


@dataclass(frozen=True)
class BoardSummary:
    """A challenge: what leads it, the count of entries, and whether any was evaluated here."""

    challenge: Challenge
    leader: Standing | None
    entries: int
    evaluated: bool


@require_safe
def home(request: HttpRequest) -> HttpResponse:
    boards = [snapshots.current(slug) for slug in CHALLENGES]
    key = ("home", *(board.version for board in boards))
    return cached.shared(request, key, lambda: _page(request, boards))


def _page(request: HttpRequest, boards: list[Snapshot]) -> HttpResponse:
    context = {
        "summaries": [_summary(board) for board in boards],
        "recent": _recent(boards),
        "section": "home",
    }
    return render(request, "leaderboard/home.html", context)


def _summary(board: Snapshot) -> BoardSummary:
    evaluated = any(standing.entry.protocol for standing in board.standings)
    return BoardSummary(CHALLENGES[board.challenge], board.leader, len(board.standings), evaluated)


def _recent(boards: list[Snapshot]) -> list[Standing]:
    """What was published last of all boards, imported entries left out."""
    evaluated = (s for board in boards for s in board.standings if s.entry.protocol)
    return sorted(
        without_demonstration(evaluated), key=lambda s: (s.entry.published_at, s.entry.id), reverse=True
    )[:RECENT]
