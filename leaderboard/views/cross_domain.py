"""The cross-domain board: methods and base models over the four challenges."""

from __future__ import annotations

from urllib.parse import urlencode

from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import render
from django.views.decorators.http import require_safe

from evaluation.rules.challenges import CHALLENGES
from leaderboard.board.cross_domain import By, Order, compare, tracks
from leaderboard.pages import cached
from leaderboard.reading import snapshots
from leaderboard.reading.snapshot_format import Snapshot
from leaderboard.standing.entries import Track

PAGE_SIZE = 50
_TITLES = {
    Track.OFFICIAL: "Evaluated here",
    Track.DEMONSTRATION: "On demonstration data",
    Track.DECLARED: "Declared elsewhere",
}


@require_safe
def boards(request: HttpRequest) -> HttpResponse:
    found = [snapshots.current(slug) for slug in CHALLENGES]
    known = tracks(found) or [Track.OFFICIAL]
    chosen = chosen_of(request.GET, known) | {"page": request.GET.get("page", "1")[:8]}
    key = ("boards", *(board.version for board in found), *chosen.values())
    return cached.shared(request, key, lambda: _page(request, found, known, chosen))


def chosen_of(query: QueryDict, known: list[Track]) -> dict[str, str]:
    """What an address states, by parameter: which scores to show, what a row is, and the order."""
    return {
        "show": _one_of(query.get("show"), known),
        "by": _one_of(query.get("by"), list(By)),
        "order": _one_of(query.get("order"), list(Order)),
    }


def _page(
    request: HttpRequest, found: list[Snapshot], known: list[Track], chosen: dict[str, str]
) -> HttpResponse:
    rows = compare(found, Track(chosen["show"]), By(chosen["by"]), Order(chosen["order"]))
    context = {
        "page": Paginator(rows, PAGE_SIZE).get_page(chosen["page"]),
        "complete": sum(row.is_complete for row in rows),
        "domains": list(CHALLENGES.values()),
        "query": _query(chosen),
        "by": chosen["by"],
        "order": chosen["order"],
        "track": chosen["show"],
        "groups": [
            (
                "Scores",
                [(_TITLES[track], _query(chosen, show=track), track == chosen["show"]) for track in known],
            ),
            (
                "Rows",
                [
                    ("Methods", _query(chosen, by=By.METHOD), chosen["by"] == By.METHOD),
                    ("Base models", _query(chosen, by=By.BASE_MODEL), chosen["by"] == By.BASE_MODEL),
                ],
            ),
            (
                "Order",
                [
                    ("Mean rank", _query(chosen, order=Order.PLACE), chosen["order"] == Order.PLACE),
                    ("Mean score", _query(chosen, order=Order.AVERAGE), chosen["order"] == Order.AVERAGE),
                ],
            ),
        ],
        "section": "boards",
    }
    return render(request, "leaderboard/boards.html", context)


def _query(chosen: dict[str, str], **changes: str) -> str:
    return urlencode({name: value for name, value in (chosen | changes).items() if name != "page"})


def _one_of(value: str | None, values: list[str] | list[Track] | list[By] | list[Order]) -> str:
    """The value, or the first where it is none of them."""
    return str(value) if value in values else str(values[0])
