"""The documentation with its search, and the catalogue of findings: what codes mean and how to mend them."""

from __future__ import annotations

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.safestring import mark_safe
from django.views.decorators.http import require_safe

from evaluation.findings.catalogue import AREA_OF, AREAS, CATALOGUE
from evaluation.names import near
from portal.help import search
from portal.help.library import GROUP_OF, GROUPS, LISTINGS, documents, neighbours

# Pages that say more about an area, by its slug: what they are called, and the names of their addresses.
_MORE: dict[str, tuple[tuple[str, str], ...]] = {
    "submission": (
        ("Base models", "base-models"),
        ("Ask for a base model", "submissions:request-base-model"),
        ("Rules", "rules"),
    ),
    "adapter-config": (
        ("Base models", "base-models"),
        ("Ask for a base model", "submissions:request-base-model"),
    ),
    "adapter": (("Base models", "base-models"), ("Ask for a base model", "submissions:request-base-model")),
    "app-config": (("Rules", "rules"),),
    "rules": (("Rules", "rules"),),
    "communication": (("Rules", "rules"), ("Benchmarks", "benchmarks"), ("Method", "method")),
    "upload": (("API", "api-docs"),),
    "request": (("API", "api-docs"),),
    "run": (("Baselines", "baselines:grid"), ("Rules", "rules")),
}


@require_safe
def docs(request: HttpRequest) -> HttpResponse:
    """All documents; with `q`, the places where its words stand."""
    query = request.GET.get("q", "").strip()[: search.LONGEST_QUERY]
    context: dict[str, object] = {"query": query, "groups": _shown_groups()}
    if query:
        hits = search.index().search(query)
        context |= {"hits": hits, "meant": None if hits else search.index().meant(query)}
    return render(request, "portal/help/docs.html", context)


@require_safe
def document(request: HttpRequest, slug: str) -> HttpResponse:
    shown = documents().get(slug)
    if shown is None:
        raise Http404(f"There is no document {slug}.")
    before, after = neighbours(slug)
    origin = f"{request.scheme}://{request.get_host()}"
    context = {
        "document": shown,
        "about": LISTINGS[slug].about,
        "html": mark_safe(shown.html_at(origin)),  # noqa: S308 -- rendered from the project's own files
        "group": GROUP_OF[slug],
        "groups": _shown_groups(),
        "before": before,
        "after": after,
    }
    return render(request, "portal/help/document.html", context)


def _shown_groups() -> list[tuple[str, list[tuple[str, str, str]]]]:
    """Each group with slug, title and purpose of its documents."""
    titles = {slug: document.title for slug, document in documents().items()}
    return [
        (group.title, [(each.slug, titles[each.slug], each.about) for each in group.listings])
        for group in GROUPS
    ]


@require_safe
def findings(request: HttpRequest) -> HttpResponse:
    return render(request, "portal/help/findings.html", {"areas": AREAS})


@require_safe
def finding(request: HttpRequest, code: str) -> HttpResponse:
    kind = CATALOGUE.get(code)
    if kind is None:
        context = {"code": code, "alike": near(code, CATALOGUE)}
        return render(request, "portal/help/no_finding.html", context, status=404)
    area = AREA_OF[code]
    shown = {"kind": kind, "area": area, "more": _MORE.get(area.slug, ())}
    return render(request, "portal/help/finding.html", shown)
