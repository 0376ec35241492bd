"""The rules of the challenges: what is fixed, what is allowed, and how an entry gets onto the board."""

from __future__ import annotations

from dataclasses import dataclass

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from evaluation.benchmarks import BENCHMARKS, Benchmark
from evaluation.rules import Rules
from evaluation.rules.protocol import PUBLIC
from portal.submissions.rules import all_site_rules


@dataclass(frozen=True)
class Row:
    """A challenge's rules on this site, and its benchmarks."""

    rules: Rules
    benchmarks: tuple[Benchmark, ...]


@require_safe
def rules(request: HttpRequest) -> HttpResponse:
    context = {
        "rows": [
            Row(rules, tuple(BENCHMARKS[slug] for slug in rules.benchmarks)) for rules in all_site_rules()
        ],
        "protocol": settings.LEADERBOARD_PROTOCOLS[0],
        "public": PUBLIC.number,
    }
    return render(request, "leaderboard/rules.html", context)
