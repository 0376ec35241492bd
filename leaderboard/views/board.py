"""A board: the entries of a challenge with what each cost."""

from __future__ import annotations

from dataclasses import dataclass

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from evaluation.benchmarks import BENCHMARKS
from evaluation.challenges import CHALLENGES
from leaderboard import snapshots
from leaderboard.entries import Standing, Track


@dataclass(frozen=True)
class Section:
    """A table of the board page: the ranked entries of one track and precision, or those that stand apart."""

    track: Track
    ranked: bool
    precision: str
    standings: list[Standing]


@require_safe
def board(request: HttpRequest, slug: str) -> HttpResponse:
    challenge = CHALLENGES.get(slug)
    if challenge is None:
        raise Http404(f"no challenge {slug}")
    snapshot = snapshots.current(slug)
    standings = [s for s in snapshot.standings if s.track is not Track.DECLARED]
    context = {
        "challenge": challenge,
        "benchmarks": [BENCHMARKS[name] for name in challenge.benchmarks],
        "sections": _sections(standings),
        "leader": next((s for s in standings if s.rank == 1), None),
        "cheapest": _cheapest(standings),
        "declared": [s.entry for s in snapshot.standings if s.track is Track.DECLARED],
        "section": "boards",
    }
    return render(request, "leaderboard/board.html", context)


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
