"""A board: the entries of a challenge with what each cost, as the address says.

What stands on it depends on the snapshot and the address alone, so that it is rendered once for all readers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils.cache import patch_vary_headers
from django.utils.safestring import mark_safe
from django.views.decorators.http import require_safe
from django_htmx.http import HttpResponseClientRedirect

from evaluation.rules.challenges import CHALLENGES
from leaderboard.addresses import ProtocolLink, under
from leaderboard.board import facets
from leaderboard.board.budget import budget_query
from leaderboard.board.filters import AIRY, Filters, apply, refusals, shown_columns, simplified
from leaderboard.board.tables import Page
from leaderboard.charts import catalogue
from leaderboard.charts.drawing import Allowance
from leaderboard.pages import cached
from leaderboard.reading import snapshots
from leaderboard.reading.snapshots import Snapshot
from leaderboard.standing.entries import Standing
from leaderboard.standing.headline import FRUGAL, headline

FORM = "board-form"
CHARTS = ("communication", "intervals")
_INSTEAD = {"as_of": "as it stands now", "protocol": "under the protocol that this site puts first"}
_HEADERS = ("HX-Request", "HX-History-Restore-Request", "HX-Trigger")


@require_safe
def board(request: HttpRequest, slug: str) -> HttpResponse:
    """The whole page, or for HTMX what changes with the view: the results, and the form if it is not what
    asked. An address that says the same as a shorter one leads there."""
    if slug not in CHALLENGES:
        raise Http404(f"no challenge {slug}")
    filters = Filters.of(request.GET)
    snapshot = snapshots.as_of(slug, filters.moment, filters.protocol)
    filters = _on_a_page(snapshot, simplified(snapshot, filters))
    query, path = filters.to_query(), reverse("leaderboard:board", args=[slug])
    address = f"{path}?{query}" if query else path
    htmx: Any = request.htmx  # type: ignore[attr-defined]
    in_place = bool(htmx) and not htmx.history_restore_request
    if problems := refusals(request.GET):
        messages.warning(request, instead("This is the board", problems))
        return HttpResponseClientRedirect(address) if in_place else redirect(address)
    if request.META["QUERY_STRING"] != query and not in_place:
        return redirect(address)
    form = in_place and htmx.trigger != FORM
    key = (slug, snapshot.version, query)
    if in_place:
        body = cached.fragment(
            (*key, form), lambda: _part(snapshot, filters, path, form=form), rare=filters.is_rare
        )
        response = HttpResponse(body, headers={"HX-Push-Url": address, "Cache-Control": "no-store"})
    else:
        response = cached.shared(
            request, key, lambda: _page(request, snapshot, filters, path), rare=filters.is_rare
        )
    patch_vary_headers(response, _HEADERS)
    return response


def instead(shown: str, problems: Mapping[str, str]) -> str:
    """What an address asks in vain for, and what is shown in its place; "" where nothing is."""
    if not problems:
        return ""
    return f"{' '.join(problems.values())} {shown} {' and '.join(_INSTEAD[name] for name in problems)}."


def _on_a_page(snapshot: Snapshot, filters: Filters) -> Filters:
    """The same view, on its last page where the address asks for one after that."""
    if filters.page == 1:
        return filters
    found = apply(snapshot, replace(filters, sort=""))
    return replace(filters, page=Page(found, (), filters).number)


def _page(request: HttpRequest, snapshot: Snapshot, filters: Filters, path: str) -> HttpResponse:
    key = (snapshot.challenge, snapshot.version, filters.to_query(), "view")
    view = cached.fragment(
        key,
        lambda: render_to_string("leaderboard/_view.html", _context(snapshot, filters, path)),
        rare=filters.is_rare,
    )
    charts = charts_of(snapshot, filters)
    context = {
        "challenge": CHALLENGES[snapshot.challenge],
        "protocol": snapshot.protocol,
        "view": mark_safe(view),  # noqa: S308  # templates made these
        "has_table": bool(snapshot.standings),
        "charts": mark_safe(charts),  # noqa: S308
        "section": "boards",
    }
    response = render(request, "leaderboard/board.html", context)
    if isinstance(charts, cached.Passing):
        response["Cache-Control"] = "no-store"
    return response


def charts_of(snapshot: Snapshot, filters: Filters, *, apart: bool = False) -> str:
    """The pictures of the view. Those of a view that readers make themselves are asked for by the page that
    shows it, so that its table does not wait for them."""
    view = filters.same_entries
    whole = view == Filters()
    query = filters.to_query(sort="", columns=None, pins=(), entries=(), rows="", cost="")
    late = {"slug": snapshot.challenge, "charts_query": query, "apart": apart, "whole": whole, "late": True}
    if not whole or filters.as_of:
        return render_to_string("leaderboard/_charts.html", late)
    key = (snapshot.challenge, snapshot.version, "charts", apart)
    return cached.fragment(key, lambda: _charts(snapshot, snapshot.standings, late | {"late": False}))


def view_charts(snapshot: Snapshot, filters: Filters, allowance: Allowance) -> str:
    """The same, drawn, in the place of those that were to be asked for."""
    facts = {"slug": snapshot.challenge, "charts_query": filters.to_query(), "whole": False}
    return _charts(snapshot, apply(snapshot, filters), facts, allowance)


def _charts(
    snapshot: Snapshot,
    found: Sequence[Standing],
    facts: dict[str, Any],
    allowance: Allowance | None = None,
) -> str:
    """Not to be kept while a picture waits for its drawing."""
    groups, allowance = catalogue.groups(found), allowance or Allowance()
    pictures = [catalogue.board_picture(snapshot, groups[0], name, allowance) for name in CHARTS if groups]
    text = render_to_string("leaderboard/_charts.html", facts | {"pictures": pictures})
    return cached.Passing(text) if any(picture.is_late for picture in pictures) else text


def _part(snapshot: Snapshot, filters: Filters, path: str, *, form: bool) -> str:
    context = _context(snapshot, filters, path)
    apart = context | {"apart": True}
    results = render_to_string("leaderboard/_results.html", context).lstrip()
    results += render_to_string("leaderboard/_headline.html", apart)
    charts = charts_of(snapshot, filters, apart=True)
    results += charts
    if form:
        results += render_to_string("leaderboard/_form.html", apart)
    return cached.Passing(results) if isinstance(charts, cached.Passing) else results


def protocol_links(snapshot: Snapshot, filters: Filters, path: str) -> list[ProtocolLink]:
    """The same view of each board that the challenge has; none where it has one."""
    if len(snapshot.protocols) < 2:
        return []
    first, found = snapshot.protocols[0], []
    for number in snapshot.protocols:
        query = filters.to_query(protocol=None if number == first else number)
        address = f"{path}?{query}" if query else path
        found.append(ProtocolLink(number, address, number == snapshot.protocol))
    return found


def _context(snapshot: Snapshot, filters: Filters, path: str) -> dict[str, Any]:
    page = Page(apply(snapshot, filters), shown_columns(snapshot, filters), filters, snapshot)
    in_order = apply(snapshot, replace(filters, sort=""))
    return {
        "challenge": CHALLENGES[snapshot.challenge],
        "protocol": snapshot.protocol,
        "protocols": protocol_links(snapshot, filters, path),
        "path": path,
        "whole": under(path, snapshot.protocol),
        "filters": filters,
        "query": filters.to_query(entries=()),
        "compact_query": filters.to_query(rows="", page=filters.page),
        "airy_query": filters.to_query(rows=AIRY, page=filters.page),
        "budget": budget_query(filters),
        "elsewhere": page.elsewhere(snapshot),
        "as_of": filters.as_of,
        "current_query": filters.to_query(as_of=None),
        "any": bool(snapshot.standings),
        "headline": headline(in_order),
        "narrowed": filters.narrows or bool(filters.show),
        "frugal_gb": FRUGAL,
        "evaluated": any(standing.entry.protocol for standing in snapshot.standings),
        "page": page,
        "facets": facets.facets(snapshot, filters),
        "teams": facets.teams(snapshot, filters),
        "limits": facets.limits(filters),
        "presets": facets.presets(filters),
        "section_links": facets.sections(snapshot, filters),
        "column_choices": facets.column_choices(snapshot, filters),
        "chosen": facets.chosen(snapshot, filters),
    }
