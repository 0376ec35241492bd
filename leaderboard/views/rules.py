"""The rules of the challenges: what is fixed, what is allowed, and how an entry gets onto the board."""

from __future__ import annotations

from dataclasses import dataclass

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from evaluation.benchmarks import BENCHMARKS, Benchmark
from evaluation.rules import protocol
from evaluation.rules.challenges import CHALLENGES, Challenge


@dataclass(frozen=True)
class Rules:
    """A challenge with its benchmarks and the precision that the current protocol evaluates it in."""

    challenge: Challenge
    benchmarks: tuple[Benchmark, ...]
    precision: str


@require_safe
def rules(request: HttpRequest) -> HttpResponse:
    context = {
        "rules": [
            Rules(
                challenge,
                tuple(BENCHMARKS[slug] for slug in challenge.benchmarks),
                protocol.CURRENT.precisions[challenge.slug],
            )
            for challenge in CHALLENGES.values()
        ],
        "protocol": protocol.CURRENT.number,
    }
    return render(request, "leaderboard/rules.html", context)
