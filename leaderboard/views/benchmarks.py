"""The benchmarks: what each measures, how it is asked and scored, and how the entries do on it."""

from __future__ import annotations

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from evaluation.benchmarks import BENCHMARKS, Benchmark
from evaluation.benchmarks.medical import DECISIONS
from evaluation.benchmarks.multiple_choice import LETTERS
from evaluation.rules import protocol
from evaluation.rules.challenges import CHALLENGES
from leaderboard.entry.benchmark import decoding, example, field
from leaderboard.reading import snapshots


@require_safe
def benchmarks(request: HttpRequest) -> HttpResponse:
    context = {
        "sections": [
            (challenge, [BENCHMARKS[slug] for slug in challenge.benchmarks])
            for challenge in CHALLENGES.values()
        ]
    }
    return render(request, "leaderboard/benchmarks.html", context)


@require_safe
def benchmark(request: HttpRequest, slug: str) -> HttpResponse:
    found = BENCHMARKS.get(slug)
    if found is None:
        raise Http404(f"no benchmark {slug}")
    context = {
        "benchmark": found,
        "challenge": CHALLENGES[found.challenge],
        "others": [BENCHMARKS[other] for other in CHALLENGES[found.challenge].benchmarks],
        "protocol": protocol.CURRENT,
        "precision": protocol.CURRENT.precisions[found.challenge],
        "example": example(found),
        "decoding": decoding(found),
        "answers": _answers(found),
        "program_seconds": protocol.CURRENT.program_seconds[found.language] if found.language else None,
        "field": field(found, snapshots.current(found.challenge)),
    }
    return render(request, "leaderboard/benchmark.html", context)


def _answers(benchmark: Benchmark) -> str:
    """Which of the four rules reads the answers."""
    if benchmark.language is not None:
        return "program"
    return {LETTERS: "letter", DECISIONS: "word"}.get(benchmark.labels, "sentiment")
