"""The cross-domain board: methods and base models over the four challenges."""

from __future__ import annotations

from functools import partial
from urllib.parse import urlencode

from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import render
from django.views.decorators.http import require_safe

from evaluation.rules.challenges import CHALLENGES
from leaderboard.addresses import ProtocolLink, asked_protocol, protocol_query
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
    found = [snapshots.current(slug, asked_protocol(request.GET)) for slug in CHALLENGES]
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
    protocol = found[0].protocol
    link = partial(query_of, chosen, protocol)
    rows = compare(found, Track(chosen["show"]), By(chosen["by"]), Order(chosen["order"]))
    context = {
        "page": Paginator(rows, PAGE_SIZE).get_page(chosen["page"]),
        "complete": sum(row.is_complete for row in rows),
        "domains": list(CHALLENGES.values()),
        "query": link(),
        "protocol": protocol,
        "protocols": _protocols(found, chosen),
        "by": chosen["by"],
        "order": chosen["order"],
        "track": chosen["show"],
        "groups": [
            (
                "Scores",
                [(_TITLES[track], link(show=track), track == chosen["show"]) for track in known],
            ),
            (
                "Rows",
                [
                    ("Methods", link(by=By.METHOD), chosen["by"] == By.METHOD),
                    ("Base models", link(by=By.BASE_MODEL), chosen["by"] == By.BASE_MODEL),
                ],
            ),
            (
                "Order",
                [
                    ("Mean rank", link(order=Order.PLACE), chosen["order"] == Order.PLACE),
                    ("Mean score", link(order=Order.AVERAGE), chosen["order"] == Order.AVERAGE),
                ],
            ),
        ],
        "section": "boards",
    }
    return render(request, "leaderboard/boards.html", context)


def query_of(chosen: dict[str, str], protocol: int, **changes: str) -> str:
    """What an address has to state to show this."""
    stated = urlencode({name: value for name, value in (chosen | changes).items() if name != "page"})
    return "&".join(filter(None, (protocol_query(protocol), stated)))


def _protocols(found: list[Snapshot], chosen: dict[str, str]) -> list[ProtocolLink]:
    """The same under each protocol that some challenge has a board of; none where there is one."""
    first = found[0].protocols[0]
    others = sorted({number for board in found for number in board.protocols} - {first})
    return [
        ProtocolLink(number, f"?{query_of(chosen, number)}", number == found[0].protocol)
        for number in ((first, *others) if others else ())
    ]


def _one_of(value: str | None, values: list[str] | list[Track] | list[By] | list[Order]) -> str:
    """The value, or the first where it is none of them."""
    return str(value) if value in values else str(values[0])
