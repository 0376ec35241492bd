"""Home, and a board per challenge."""

from __future__ import annotations

from dataclasses import dataclass

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from evaluation.benchmarks import BENCHMARKS
from evaluation.challenges import CHALLENGES, Challenge
from leaderboard.queries import board as standings_of
from leaderboard.queries import declared_entries
from leaderboard.ranking import Standing, Track
from portal.submissions.models import Submission


@dataclass(frozen=True)
class BoardSummary:
    """A challenge on the home page: the leader of its first track that has one, and the count of entries."""

    challenge: Challenge
    leader: Standing | None
    entries: int


@dataclass(frozen=True)
class Section:
    """A table of the board page: the ranked entries of one track and precision, or those that stand apart."""

    track: Track
    ranked: bool
    precision: str
    standings: list[Standing]


@require_safe
def home(request: HttpRequest) -> HttpResponse:
    summaries = [_summary(challenge) for challenge in CHALLENGES.values()]
    recent = (
        Submission.objects.filter(status=Submission.Status.PUBLISHED)
        .exclude(kind=Submission.Kind.IMPORTED)
        .select_related("team", "base_model")
        .order_by("-published_at", "-pk")[:6]
    )
    return render(
        request, "leaderboard/home.html", {"summaries": summaries, "recent": recent, "section": "home"}
    )


@require_safe
def board(request: HttpRequest, slug: str) -> HttpResponse:
    challenge = CHALLENGES.get(slug)
    if challenge is None:
        raise Http404(f"no challenge {slug}")
    standings = standings_of(challenge)
    sections = _sections(standings)
    context = {
        "challenge": challenge,
        "benchmarks": [BENCHMARKS[name] for name in challenge.benchmarks if name in BENCHMARKS],
        "sections": sections,
        "leader": next((s for s in standings if s.rank == 1), None),
        "cheapest": _cheapest(standings),
        "count": len(standings),
        "declared": declared_entries(challenge),
        "section": "boards",
    }
    return render(request, "leaderboard/board.html", context)


def _summary(challenge: Challenge) -> BoardSummary:
    standings = standings_of(challenge)
    return BoardSummary(challenge, next((s for s in standings if s.rank == 1), None), len(standings))


def _sections(standings: list[Standing]) -> list[Section]:
    """The tables of a board in reading order; empty ones are left out."""
    ranked: dict[tuple[Track, str], list[Standing]] = {}
    for standing in standings:
        if standing.rank is not None:
            ranked.setdefault((standing.track, standing.entry.precision), []).append(standing)
    sections = [Section(track, True, precision, members) for (track, precision), members in ranked.items()]
    sections.append(Section(Track.UNOFFICIAL, False, "", [s for s in standings if s.rank is None]))
    return [section for section in sections if section.standings]


def _cheapest(standings: list[Standing]) -> Standing | None:
    """The ranked entry of the leading track that communicated least, training included."""
    leading = next((s.track for s in standings if s.rank == 1), None)
    priced = [s for s in standings if s.rank and s.track == leading and s.entry.communication]
    trained = [s for s in priced if s.entry.communication and s.entry.communication.value > 0]
    return min(trained, key=lambda s: s.entry.communication.value, default=None)  # type: ignore[union-attr]
