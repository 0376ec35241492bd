"""The home page: what is best in each challenge, what was published last, and how far a demonstration is."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from evaluation.rules.challenges import CHALLENGES, Challenge
from leaderboard.pages import cached
from leaderboard.reading import snapshots
from leaderboard.reading.snapshots import Snapshot
from leaderboard.standing.entries import Standing
from leaderboard.standing.preference import without_demonstration
from portal.demonstration import progress
from portal.demonstration.progress import Progress

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
    boards = _boards()
    demonstration = progress.now(settings.DEMONSTRATION) if settings.DEMONSTRATION else None
    if demonstration is None or demonstration.is_over:
        key = ("home", *(board.version for board in boards))
        return cached.shared(request, key, lambda: _page(request, boards))
    return _page(request, boards, demonstration)


@never_cache
@require_safe
def live(request: HttpRequest) -> HttpResponse:
    """How far the demonstration is, and the parts of the home page whose boards have changed since."""
    if not settings.DEMONSTRATION:
        raise Http404
    boards = _boards()
    context = {"demonstration": progress.now(settings.DEMONSTRATION), "boards": _name(boards)}
    if request.GET.get("boards") != context["boards"]:
        context |= {"summaries": _summaries(boards), "recent": _recent(boards), "apart": True}
    return render(request, "leaderboard/_home_live.html", context)


def _page(
    request: HttpRequest, boards: list[Snapshot], demonstration: Progress | None = None
) -> HttpResponse:
    context = {
        "summaries": _summaries(boards),
        "recent": _recent(boards),
        "demonstration": demonstration,
        "boards": _name(boards),
        "section": "home",
    }
    response = render(request, "leaderboard/home.html", context)
    if demonstration:
        response["Cache-Control"] = "no-store"
    return response


def _boards() -> list[Snapshot]:
    return [snapshots.current(slug) for slug in CHALLENGES]


def _name(boards: list[Snapshot]) -> str:
    """What tells these boards from those of another moment."""
    return hashlib.sha256(" ".join(board.version for board in boards).encode()).hexdigest()[:16]


def _summaries(boards: list[Snapshot]) -> list[BoardSummary]:
    return [_summary(board) for board in boards]


def _summary(board: Snapshot) -> BoardSummary:
    evaluated = any(standing.entry.protocol for standing in board.standings)
    return BoardSummary(CHALLENGES[board.challenge], board.leader, len(board.standings), evaluated)


def _recent(boards: list[Snapshot]) -> list[Standing]:
    """What was published last of all boards, imported entries left out."""
    evaluated = (s for board in boards for s in board.standings if s.entry.protocol)
    return sorted(
        without_demonstration(evaluated), key=lambda s: (s.entry.published_at, s.entry.id), reverse=True
    )[:RECENT]
