"""The benchmarks: what each measures, how it is asked and scored, and how the entries do on it."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_safe

from evaluation.benchmarks import BENCHMARKS, Benchmark
from evaluation.benchmarks.medical import DECISIONS
from evaluation.benchmarks.multiple_choice import LETTERS
from evaluation.rules import protocol as protocols
from evaluation.rules.challenges import CHALLENGES
from evaluation.rules.protocol import PROTOCOLS
from leaderboard.addresses import PARAMETER, ProtocolLink, asked_protocol
from leaderboard.entry.benchmark import decoding, example, field
from leaderboard.reading import snapshots
from portal.runs import data_register, ngrams
from portal.submissions.rules import site_rules


@dataclass(frozen=True)
class Listed:
    """A benchmark in the list; `only` are the protocols that have it where the site's own does not."""

    benchmark: Benchmark
    only: tuple[int, ...]

    @classmethod
    def of(cls, slug: str) -> Listed:
        having = tuple(number for number, protocol in PROTOCOLS.items() if protocol.has(slug))
        return cls(BENCHMARKS[slug], () if settings.LEADERBOARD_PROTOCOLS[0] in having else having)


@require_safe
def benchmarks(request: HttpRequest) -> HttpResponse:
    context = {
        "sections": [
            (challenge, [Listed.of(slug) for slug in _benchmarks_of(challenge.slug)])
            for challenge in CHALLENGES.values()
        ]
    }
    return render(request, "leaderboard/benchmarks.html", context)


@require_safe
def benchmark(request: HttpRequest, slug: str) -> HttpResponse:
    """As the protocol asks it that the address names, else the site's own, else the newest that has it."""
    found = BENCHMARKS.get(slug)
    asked = asked_protocol(request.GET)
    site = protocols.get(settings.LEADERBOARD_PROTOCOLS[0])
    protocol = protocols.asking(slug, site) if asked is None else protocols.get(asked)
    if found is None or protocol is None or not protocol.has(slug):
        raise Http404(f"no benchmark {slug}")
    context = {
        "benchmark": found,
        "rows": data_register.line(found),
        "challenge": CHALLENGES[found.challenge],
        "trained": _shares(found),
        "others": [BENCHMARKS[other] for other in protocol.benchmarks[found.challenge]],
        "protocol": protocol,
        "protocols": _links(found, protocol.number),
        "precision": protocol.precisions[found.challenge],
        "example": example(found, protocol),
        "decoding": decoding(found, protocol),
        "answers": _answers(found),
        "program_seconds": protocol.program_seconds[found.language] if found.language else None,
        "field": field(found, snapshots.current(found.challenge, protocol.number)),
    }
    return render(request, "leaderboard/benchmark.html", context)


def _benchmarks_of(challenge: str) -> list[str]:
    """Those of the site's protocol, then those that only others have."""
    every = [site_rules(challenge).benchmarks, *(p.benchmarks[challenge] for p in PROTOCOLS.values())]
    return list(dict.fromkeys(chain.from_iterable(every)))


def _shares(benchmark: Benchmark) -> list[tuple[str, ngrams.Overlap, ngrams.Share]]:
    """The challenges' training sets, as far as they were held against the benchmark's items."""
    return [
        (name, overlap, share)
        for name, overlap in ngrams.training_sets().items()
        for share in overlap.shares
        if share.benchmark == benchmark.slug
    ]


def _links(benchmark: Benchmark, shown: int) -> list[ProtocolLink]:
    """The page under each protocol that has the benchmark; none where that is one."""
    path = reverse("benchmark", args=[benchmark.slug])
    having = [number for number, protocol in PROTOCOLS.items() if protocol.has(benchmark.slug)]
    if len(having) < 2:
        return []
    return [ProtocolLink(number, f"{path}?{PARAMETER}={number}", number == shown) for number in having]


def _answers(benchmark: Benchmark) -> str:
    """Which of the four rules reads the answers."""
    if benchmark.language is not None:
        return "program"
    return {LETTERS: "letter", DECISIONS: "word"}.get(benchmark.labels, "sentiment")
