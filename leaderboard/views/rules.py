"""The rules of the challenges: what is fixed, what is allowed, and how an entry gets onto the board."""

from __future__ import annotations

from dataclasses import dataclass

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from evaluation.benchmarks import BENCHMARKS, Benchmark
from evaluation.rules import Rules
from evaluation.rules import protocol as protocols
from evaluation.rules.protocol import PUBLIC, Precision
from portal.submissions.rules import all_site_rules


@dataclass(frozen=True)
class Row:
    """A challenge's rules on this site, its benchmarks, and its precision by the site's protocols."""

    rules: Rules
    benchmarks: tuple[Benchmark, ...]
    precisions: tuple[Precision, ...]

    @classmethod
    def of(cls, rules: Rules) -> Row:
        slug = rules.challenge.slug
        precisions = tuple(protocols.get(n).precisions[slug] for n in settings.LEADERBOARD_PROTOCOLS)
        return cls(rules, tuple(BENCHMARKS[slug] for slug in rules.benchmarks), precisions)


@require_safe
def rules(request: HttpRequest) -> HttpResponse:
    context = {
        "rows": [Row.of(rules) for rules in all_site_rules()],
        "protocols": settings.LEADERBOARD_PROTOCOLS,
        "public": PUBLIC.number,
    }
    return render(request, "leaderboard/rules.html", context)
