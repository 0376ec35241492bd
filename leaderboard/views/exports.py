"""Boards as files for other programs. They say the same as the page with the same query."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

from django.http import (
    Http404,
    HttpRequest,
    HttpResponse,
    HttpResponseBadRequest,
    HttpResponseBase,
    StreamingHttpResponse,
)
from django.urls import reverse
from django.utils.cache import get_conditional_response
from django.views.decorators.http import require_safe

from evaluation.rules.challenges import CHALLENGES
from leaderboard.addresses import PARAMETER, asked_protocol, entry_page, refused_protocol
from leaderboard.board.columns import columns_of
from leaderboard.board.cross_domain import By, DomainRow, Order, compare, tracks
from leaderboard.board.exports import FORMATS, LOG_HEAD, Export, cross_domain_fields, fields_of
from leaderboard.board.filters import Filters, apply, refusals, shown_columns
from leaderboard.reading import snapshots
from leaderboard.reading.snapshots import Snapshot
from leaderboard.standing.entries import Standing, Track
from leaderboard.views.cross_domain import chosen_of, query_of
from portal import pace
from portal.transparency.reading import current_head, head_in_words

# Part of the ETag: raised whenever the same board is written differently.
LAYOUT = 5


@require_safe
def board(request: HttpRequest, slug: str, form: str) -> HttpResponseBase:
    """All entries that the board's page would show for the same query, on all its pages.

    Every column is there, unless the query chooses some. 400 for a day of which there is no board, and for
    a protocol that there is not: a file of another one would not tell.
    """
    if slug not in CHALLENGES:
        raise Http404(f"no challenge {slug}")
    if problems := refusals(request.GET):
        text = "".join(f"{name}: {problem}\n" for name, problem in problems.items())
        return HttpResponseBadRequest(text, content_type="text/plain; charset=utf-8")
    filters = Filters.of(request.GET)
    snapshot = snapshots.as_of(slug, filters.moment, filters.protocol)
    day = filters.as_of or snapshot.built_at
    log = _log_head()
    return _answer(
        request,
        f"{snapshot.version} {filters.to_query(page=1)} {log}",
        lambda: _export(request, snapshot, filters, log),
        f"flowertune-{slug}-{day:%Y-%m-%d}.{form}",
    )


@require_safe
def boards(request: HttpRequest, form: str) -> HttpResponseBase:
    """The comparison over all challenges, as its page shows it for the same query; 400 as for one board."""
    if reason := refused_protocol(request.GET):
        return HttpResponseBadRequest(f"{PARAMETER}: {reason}\n", content_type="text/plain; charset=utf-8")
    found = [snapshots.current(slug, asked_protocol(request.GET)) for slug in CHALLENGES]
    protocol = found[0].protocol
    chosen = chosen_of(request.GET, tracks(found) or [Track.OFFICIAL])
    versions = " ".join(snapshot.version for snapshot in found)
    source = f"{request.build_absolute_uri(reverse('boards'))}?{query_of(chosen, protocol)}"
    log = _log_head()

    def export() -> Export[DomainRow]:
        rows = compare(found, Track(chosen["show"]), By(chosen["by"]), Order(chosen["order"]))
        stated: _Facts = (("protocol", protocol), *chosen.items())
        facts: _Facts = (*stated, ("snapshot", versions), ("source", source), *log)
        address = _address(request, protocol)
        return Export(facts, cross_domain_fields(CHALLENGES, address, By(chosen["by"])), rows)

    day = max(snapshot.built_at for snapshot in found)
    return _answer(request, f"{versions} {chosen} {log}", export, f"flowertune-{day:%Y-%m-%d}.{form}")


def _answer(
    request: HttpRequest, content: str, export: Callable[[], Export[Any]], name: str
) -> HttpResponseBase:
    """The file of that name, or 304 to a client that has it; `content` changes with what stands in it."""
    told = f"{LAYOUT} {request.get_host()} {content} {name.rpartition('.')[2]}"
    tag = f'"{hashlib.sha256(told.encode()).hexdigest()[:32]}"'
    known: HttpResponseBase | None = get_conditional_response(request, etag=tag)
    if known is None and request.GET and (refused := pace.refusal(request)):
        return refused
    response = known or _file(export(), name)
    response["ETag"] = tag
    response["Cache-Control"] = "public, no-cache"
    # Public figures, the same for everybody: pages and notebooks of other sites may read them.
    response["Access-Control-Allow-Origin"] = "*"
    response["X-Robots-Tag"] = "noindex"
    return response


def _file(export: Export[Any], name: str) -> HttpResponseBase:
    kind = FORMATS[name.rpartition(".")[2]]
    content = kind.write(export)
    response: HttpResponseBase
    if isinstance(content, bytes):
        response = HttpResponse(content, content_type=kind.content_type)
    else:
        response = StreamingHttpResponse(content, content_type=kind.content_type)
    if kind.download:
        response["Content-Disposition"] = f'attachment; filename="{name}"'
    return response


_Facts = tuple[tuple[str, str | int], ...]


def _log_head() -> _Facts:
    """The fact of the log's newest head; none while the log is empty."""
    head = current_head()
    return ((LOG_HEAD, head_in_words(head)),) if head else ()


def _export(request: HttpRequest, snapshot: Snapshot, filters: Filters, log: _Facts) -> Export[Standing]:
    every = columns_of(snapshot.challenge, snapshot.protocol)
    columns = every if filters.columns is None else shown_columns(snapshot, filters)
    page = request.build_absolute_uri(reverse("leaderboard:board", args=[snapshot.challenge]))
    query = filters.to_query(page=1)
    facts: _Facts = (
        ("challenge", snapshot.challenge),
        ("protocol", snapshot.protocol),
        ("snapshot", snapshot.version),
        ("as_of", filters.as_of.isoformat() if filters.as_of else ""),
        ("source", f"{page}?{query}" if query else page),
        *log,
    )
    return Export(facts, fields_of(columns, _address(request, snapshot.protocol)), apply(snapshot, filters))


def _address(request: HttpRequest, protocol: int) -> Callable[[int], str]:
    """The page of an entry by its number; made once, as it is asked for in every row."""
    entries, _, rest = request.build_absolute_uri(entry_page(0, protocol)).rpartition("0/")
    return lambda entry: f"{entries}{entry}/{rest}"
