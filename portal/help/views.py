"""The catalogue of findings as pages: what each code means and how to mend it."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from evaluation.findings.catalogue import AREA_OF, AREAS, CATALOGUE
from evaluation.names import near

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
