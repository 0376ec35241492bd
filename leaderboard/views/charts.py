"""The pictures of a board: a page of all, and each as a file."""

from __future__ import annotations

from dataclasses import replace

from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBadRequest
from django.shortcuts import render
from django.utils.cache import patch_cache_control, patch_vary_headers
from django.views.decorators.http import require_safe

from evaluation.rules.challenges import CHALLENGES
from leaderboard.board.filters import Filters, apply, refusals
from leaderboard.charts import catalogue
from leaderboard.charts.drawing import Allowance, BusyError, TooManyError
from leaderboard.pages import cached
from leaderboard.reading import snapshots
from leaderboard.reading.snapshots import Snapshot
from leaderboard.standing.entries import Track
from leaderboard.views.board import instead, protocol_links, view_charts
from portal import rates

CONTENT_TYPES = {"svg": "image/svg+xml", "png": "image/png"}
PART = "board-charts"
"""The part of a board's page that asks for the pictures of its view."""
# What `show` has to be in a view's address for the entries of a track.
_SECTION = {Track.OFFICIAL: "ranked", Track.DEMONSTRATION: "demonstration", Track.DECLARED: "declared"}


@require_safe
def charts(request: HttpRequest, slug: str) -> HttpResponse:
    """All pictures of a view, which is stated as on the board."""
    filters = replace(Filters.of(request.GET), entries=())
    snapshot = _snapshot(slug, filters)
    problem = instead("These are the charts of the board", refusals(request.GET))
    if request.headers.get("HX-Target") == PART:
        response = HttpResponse(view_charts(snapshot, filters, _allowance(request)))
        response["Cache-Control"] = "no-store"
        patch_vary_headers(response, ("HX-Target",))
        return response
    key = ("charts", slug, snapshot.version, filters.to_query(page=1), problem)
    response = cached.shared(
        request,
        key,
        lambda: _page(request, snapshot, filters, problem),
        rare=filters.is_rare or bool(problem),
    )
    patch_vary_headers(response, ("HX-Target",))
    return response


def _page(request: HttpRequest, snapshot: Snapshot, filters: Filters, problem: str) -> HttpResponse:
    groups = catalogue.groups(apply(snapshot, filters))
    allowance = _allowance(request)
    pictures = [
        picture
        for group in groups[:1]
        for picture in catalogue.board_pictures(snapshot, group, catalogue.BOARD, allowance)
    ]
    context = {
        "challenge": CHALLENGES[snapshot.challenge],
        "protocol": snapshot.protocol,
        "protocols": protocol_links(snapshot, filters, request.path),
        "filters": filters,
        "problem": problem,
        "as_of": filters.as_of,
        "current_query": filters.to_query(as_of=None),
        "path": request.path,
        "query": filters.to_query(page=1),
        "group": groups[0] if groups else None,
        "others": [(group, filters.to_query(show=_SECTION[group.track])) for group in groups[1:]],
        "pictures": [picture for picture in pictures if picture.figure.spec],
        "missing": [picture.figure for picture in pictures if not picture.figure.spec],
        "section": "boards",
    }
    response = render(request, "leaderboard/charts.html", context)
    if any(picture.is_late for picture in pictures):
        response["Cache-Control"] = "no-store"
    return response


@require_safe
def chart_file(request: HttpRequest, slug: str, name: str, form: str) -> HttpResponse:
    """A picture of a view as SVG or PNG. 404 where it has nothing to draw, 400 for a day without a board,
    429 or 503 where it has to be asked for again later."""
    if problems := refusals(request.GET):
        return HttpResponseBadRequest(" ".join(problems.values()), content_type="text/plain; charset=utf-8")
    filters = Filters.of(request.GET)
    snapshot = _snapshot(slug, filters)
    groups = catalogue.groups(apply(snapshot, filters))
    if name not in catalogue.BOARD or not groups:
        raise Http404("no such picture")
    try:
        content = catalogue.board_file(snapshot, groups[0], name, form, _allowance(request))
    except TooManyError:
        return too_many()
    except BusyError:
        return busy()
    if content is None:
        raise Http404("this view has nothing to draw")
    return picture_response(content, form, f"{slug}-{name}")


def _allowance(request: HttpRequest) -> Allowance:
    """The reader is told by the address, as the API's rates are."""
    return Allowance(reader=rates.address_of(request))


def picture_response(content: bytes, form: str, name: str) -> HttpResponse:
    """A picture as a file that a reader may keep or put into a page of their own."""
    response = HttpResponse(content, content_type=CONTENT_TYPES[form])
    response["Content-Disposition"] = f'inline; filename="{name}.{form}"'
    # A picture of this moment; a board changes when entries are published.
    patch_cache_control(response, public=True, max_age=300)
    return response


def busy() -> HttpResponse:
    return HttpResponse(
        "Other pictures are being drawn. Try again in a moment.",
        status=503,
        headers={"Retry-After": "5"},
        content_type="text/plain",
    )


def too_many() -> HttpResponse:
    return HttpResponse(
        "Too many pictures of new views. Try again in a minute.",
        status=429,
        headers={"Retry-After": "60"},
        content_type="text/plain",
    )


def _snapshot(slug: str, filters: Filters) -> Snapshot:
    if slug not in CHALLENGES:
        raise Http404(f"no challenge {slug}")
    return snapshots.as_of(slug, filters.moment, filters.protocol)
