"""The single answers of an entry to a benchmark: filtered, searched, paged, and as files."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar
from urllib.parse import urlencode

from django.core.paginator import Paginator
from django.http import FileResponse, Http404, HttpRequest, HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.urls import reverse
from django.utils.cache import add_never_cache_headers
from django.views.decorators.http import require_safe

from evaluation import rules
from evaluation.benchmarks import BENCHMARKS
from evaluation.rules.challenges import CHALLENGES
from leaderboard.addresses import asked_protocol, protocol_query
from leaderboard.entry.facts import engine_in_words
from leaderboard.reading import items
from leaderboard.reading.items import Index, Item, Verdict
from leaderboard.standing.entries import Entry
from portal.runs.items import ItemsMissingError
from portal.runs.models import Score
from portal.submissions.models import Submission

Answer = TypeVar("Answer", bound=HttpResponseBase)

PAGE_SIZE = 20
FORMATS = {"jsonl": "application/x-ndjson", "parquet": "application/vnd.apache.parquet"}


@dataclass(frozen=True)
class View:
    """What of the items is shown, as the page's address states it; `item`, from 1, is one to be found."""

    verdict: Verdict | None
    subject: str
    text: str
    item: int | None
    protocol: int | None = None

    @classmethod
    def of(cls, request: HttpRequest) -> View:
        """What cannot be read is left out, so that old links keep working."""
        shown, item = request.GET.get("show", ""), request.GET.get("item", "")
        return cls(
            verdict=Verdict(shown) if shown in set(Verdict) else None,
            subject=request.GET.get("subject", "")[: items.LONGEST_SEARCH],
            text=request.GET.get("q", "").strip()[: items.LONGEST_SEARCH],
            item=int(item) if item.isdecimal() and len(item) < 8 else None,
            protocol=asked_protocol(request.GET),
        )

    def to_query(self, **changes: str) -> str:
        stated = {"show": self.verdict or "", "subject": self.subject, "q": self.text} | changes
        query = urlencode({name: value for name, value in stated.items() if value})
        return "&".join(filter(None, (protocol_query(self.protocol or 0), query)))

    @property
    def narrows(self) -> bool:
        return bool(self.verdict or self.subject or self.text)


@require_safe
def explorer(request: HttpRequest, pk: int, benchmark: str) -> HttpResponse:
    """404 for whatever is not published, but for its team and the reviewers, whose affair its answers are."""
    view = View.of(request)
    score = _score(request, pk, benchmark, view.protocol)
    context = _frame(score, request) | {"view": view}
    try:
        index = items.index_of(score)
        context |= _answers(score, index, view, request)
    except ItemsMissingError as error:
        context["missing"] = str(error)
    response = render(request, "leaderboard/items.html", context)
    return _not_for_others(response, score)


@require_safe
def download(request: HttpRequest, pk: int, benchmark: str, form: str) -> HttpResponseBase:
    """All items as a file, streamed."""
    score = _score(request, pk, benchmark, asked_protocol(request.GET))
    try:
        items.index_of(score)  # has read every line, so that nothing breaks in the middle of a file
        content = items.json_lines(score) if form == "jsonl" else items.parquet(score)
    except ItemsMissingError as error:
        raise Http404(str(error)) from error
    name = f"entry-{pk}-{benchmark}.{form}"
    response: HttpResponseBase
    if form == "jsonl":
        response = FileResponse(content, as_attachment=True, filename=name, content_type=FORMATS[form])
    else:
        response = StreamingHttpResponse(content, content_type=FORMATS[form])
        response["Content-Disposition"] = f'attachment; filename="{name}"'
    return _not_for_others(response, score)


def item_url(entry: Entry, benchmark: str, position: int) -> str:
    """Where an item of an entry stands; `position` counts from 0."""
    number = position + 1
    query = "&".join(filter(None, (protocol_query(entry.protocol), f"item={number}")))
    return f"{reverse('items', args=[entry.id, benchmark])}?{query}#item-{number}"


def _not_for_others(response: Answer, score: Score) -> Answer:
    """Questions of a benchmark are no food for crawlers: what is trained on them is no longer tested by them.
    Answers of what is not published are for nobody's cache."""
    response["X-Robots-Tag"] = "noindex, noarchive"
    if score.evaluation.submission.status != Submission.Status.PUBLISHED:
        add_never_cache_headers(response)
    return response


def _score(request: HttpRequest, pk: int, benchmark: str, protocol: int | None) -> Score:
    if benchmark not in BENCHMARKS:
        raise Http404(f"no benchmark {benchmark}")
    score = (
        items.readable_scores(request.user, [pk], protocol)
        .filter(benchmark=benchmark)
        .select_related("evaluation__submission__team", "evaluation__submission__base_model")
        .defer("correct_bits", "scored_bits", "evaluation__submission__base_model__tensors")
        .first()
    )
    if score is None:
        raise Http404("no entry with answers to this benchmark")
    return score


def _frame(score: Score, request: HttpRequest) -> dict[str, object]:
    submission = score.evaluation.submission
    challenge = CHALLENGES[submission.challenge]
    protocol = score.evaluation.protocol
    others = items.readable_scores(request.user, [submission.pk], protocol).exclude(items="")
    kept = {score.benchmark, *others.values_list("benchmark", flat=True)}
    return {
        "score": score,
        "submission": submission,
        "challenge": challenge,
        "benchmark": BENCHMARKS[score.benchmark],
        "protocol": protocol,
        "precision": score.evaluation.provenance.get("precision"),
        "engine": engine_in_words(score.evaluation.provenance.get("engine", {})),
        "tabs": [BENCHMARKS[s] for s in rules.of(challenge.slug, protocol).benchmarks if s in kept],
        "section": "boards",
    }


def _answers(score: Score, index: Index, view: View, request: HttpRequest) -> dict[str, object]:
    positions = index.chosen(view.verdict, view.subject)
    if view.text:
        positions = items.search(score, view.text, positions)
    paginator = Paginator(positions, PAGE_SIZE)
    wanted = _page_of(view.item, positions) or request.GET.get("page")
    page = paginator.get_page(wanted)
    shown: list[Item] = items.read(score, index, page.object_list)
    return {
        "page_obj": page,
        "items": shown,
        "counts": [(verdict, count) for verdict, count in index.counts.items()],
        "subjects": [group for group in sorted(index.groups) if group],
        "found": len(positions),
        "total": len(index),
    }


def _page_of(item: int | None, positions: list[int]) -> int | None:
    """The page with an item; None where it is not among those shown."""
    if item is None or item - 1 not in positions:
        return None
    return positions.index(item - 1) // PAGE_SIZE + 1
