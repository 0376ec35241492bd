"""Up to four entries side by side: scores, costs, settings, paired tests, and where they disagree."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from django.conf import settings
from django.core.paginator import Page, Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from evaluation import rules
from evaluation.benchmarks import BENCHMARKS, Benchmark
from evaluation.rules.challenges import CHALLENGES, Challenge
from leaderboard.addresses import ProtocolLink, asked_protocol, protocol_query
from leaderboard.board import comparison
from leaderboard.board.comparison import MOST, Asked, Compared
from leaderboard.reading import items, snapshots
from leaderboard.reading.items import Item
from leaderboard.reading.kept import Kind
from leaderboard.reading.queries import protocols_of
from leaderboard.standing.entries import Entry, Standing
from leaderboard.standing.pairing import Answers, PairedTest, Pairing, disagreements, pairings
from leaderboard.views.items import item_url
from portal import pace
from portal.runs.items import ItemsMissingError
from portal.runs.models import Score

PAGE_SIZE = 10
SUGGESTED = 40
_PAIRINGS = Kind("pairings", list[Pairing], number=2, seconds=86_400)


@dataclass(frozen=True)
class Column:
    """An entry at the head of the table, and the addresses without it and with it first."""

    member: Compared
    without: str
    first: str

    @property
    def challenge(self) -> Challenge:
        return CHALLENGES[self.member.entry.challenge]


@dataclass(frozen=True)
class Against:
    """The first entry against another, benchmark by benchmark."""

    other: Compared
    tests: list[tuple[Benchmark, PairedTest]]
    average: PairedTest


@dataclass(frozen=True)
class Disputed:
    """A benchmark on whose items the entries disagree; `address` shows them."""

    benchmark: Benchmark
    count: int
    items: int
    address: str
    is_shown: bool


@dataclass(frozen=True)
class DisputedItem:
    """An item with each entry, its answer and where that stands."""

    number: int
    prompt: str
    target: str
    answers: list[tuple[Compared, Item, str]]


@require_safe
def compare(request: HttpRequest) -> HttpResponse:
    """404 where entries are asked for and none of them is published."""
    asked = Asked.of(request.GET)
    if asked.entries and (refused := pace.refusal(request)):
        return refused
    known = protocols_of(asked.entries) if asked.entries else set()
    protocol = asked_protocol(request.GET) or _protocol(known)
    members = comparison.compared(asked.entries, protocol)
    numbers = [member.entry.id for member in members]
    problems = [*asked.problems, *_problems(asked.entries, [member.entry for member in members])]
    challenges = list(dict.fromkeys(member.entry.challenge for member in members))
    context = {
        "problems": problems,
        "columns": _columns(members, protocol),
        "entries": _query(numbers, protocol) if numbers else "",
        "protocol": protocol,
        "protocols": _links(numbers, known, protocol),
        "numbers": numbers,
        "can_add": len(members) < MOST,
        "suggestions": _suggestions(challenges[0], numbers, protocol) if challenges else [],
        "challenge": CHALLENGES[challenges[0]] if len(challenges) == 1 else None,
        "several_challenges": len(challenges) > 1,
        "tables": _tables(members),
        "section": "boards",
    }
    if alike := _alike(members):
        context |= _paired(request, alike, numbers, protocol)
    status = 404 if asked.entries and not members else 200
    return render(request, "leaderboard/compare.html", context, status=status)


def _problems(asked: Sequence[int], shown: Sequence[Entry]) -> Iterator[str]:
    """What became of the entries that do not stand there under their own number."""
    means = {run.id: entry.id for entry in shown for run in entry.runs}
    for number in asked:
        if number in means:
            if (mean := means[number]) != number:
                yield f"Entry {number} is a run of entry {mean}, which stands here as the mean of its runs."
        elif all(entry.id != number for entry in shown):
            yield f"There is no published entry {number}."


def _protocol(known: set[int]) -> int:
    """What is shown where the address names none: the site's own if some entry has figures under it."""
    if not known or settings.LEADERBOARD_PROTOCOLS[0] in known:
        return int(settings.LEADERBOARD_PROTOCOLS[0])
    return max(known)


def _query(entries: Sequence[int], protocol: int, **more: object) -> str:
    """The address of a comparison."""
    return "&".join(filter(None, (protocol_query(protocol), Asked.query(entries, **more))))


def _links(numbers: Sequence[int], known: set[int], shown: int) -> list[ProtocolLink]:
    """The same entries under each protocol that one of them has figures under; none where there is one."""
    found = sorted(known | {shown}) if known else []
    return [
        ProtocolLink(number, f"?{Asked.query(numbers, protocol=number)}", number == shown)
        for number in (found if len(found) > 1 else ())
    ]


def _alike(members: Sequence[Compared]) -> list[Compared]:
    """Those of the first challenge of which there are several."""
    for first in members:
        found = [member for member in members if member.entry.challenge == first.entry.challenge]
        if len(found) > 1:
            return found
    return []


def _columns(members: Sequence[Compared], protocol: int) -> list[Column]:
    numbers = [member.entry.id for member in members]
    return [
        Column(
            member=member,
            without=_query([number for number in numbers if number != member.entry.id], protocol),
            first=_query(sorted(numbers, key=lambda number: number != member.entry.id), protocol),
        )
        for member in members
    ]


def _suggestions(challenge: str, numbers: Sequence[int], protocol: int) -> list[Standing]:
    """The best of the same board, for those who have no number at hand."""
    board = snapshots.current(challenge, protocol).standings
    return [standing for standing in board if standing.entry.id not in numbers][:SUGGESTED]


def _tables(members: Sequence[Compared]) -> list[tuple[str, list[comparison.ComparisonRow], bool]]:
    """Title, rows, and whether rows that differ are marked: scores always differ."""
    if not members:
        return []
    challenges = list(dict.fromkeys(member.entry.challenge for member in members))
    several = len(challenges) > 1
    tables = [
        *(
            (
                f"Scores in {CHALLENGES[slug].title}" if several else "Scores",
                comparison.score_rows(members, slug),
                False,
            )
            for slug in challenges
        ),
        ("Cost of the training", comparison.cost_rows(members), False),
        ("Method", comparison.method_rows(members), True),
    ]
    return [table for table in tables if table[1]]


def _paired(
    request: HttpRequest, members: Sequence[Compared], numbers: Sequence[int], protocol: int
) -> dict[str, object]:
    """The paired tests and disputed items of the entries of one challenge that were evaluated here.

    `numbers` are all entries that the page compares.
    """
    evaluated = [member for member in members if not member.is_declared]
    if members[0].is_declared or len(evaluated) < 2:
        return {"no_tests": _why_untested(members[0], len(evaluated))}
    first, others = evaluated[0], evaluated[1:]
    benchmarks = rules.of(first.entry.challenge, first.entry.protocol).benchmarks
    answers = {member.entry.id: member.answers for member in evaluated}
    found = _pairings(first.entry.id, [other.entry.id for other in others], answers, benchmarks)
    return {
        "first": first,
        "against": [_against(other, pairing) for other, pairing in zip(others, found, strict=True)],
        "untested": [member for member in members if member.is_declared],
        "over_seeds": any(member.entry.runs for member in evaluated),
        "precisions": len({member.entry.precision for member in evaluated}) > 1,
    } | _disputes(request, evaluated, partial(_query, numbers, protocol))


def _pairings(
    first: int, others: Sequence[int], answers: Mapping[int, Answers], benchmarks: Sequence[str]
) -> list[Pairing]:
    """The tests, kept by the scores that they are of, which never change: resampling takes its time."""
    scores = [
        [(slug, one.score, one.repeats) for slug, one in answers[number].items()]
        for number in (first, *others)
    ]
    key = hashlib.sha256(repr((first, others, scores)).encode()).hexdigest()
    return _PAIRINGS.get_or_make(key, lambda: pairings(first, others, answers, benchmarks))


def _why_untested(first: Compared, evaluated: int) -> str:
    if not evaluated:
        return "All scores were declared elsewhere: no single answers are known, so nothing can be tested."
    if first.is_declared:
        return (
            f"The scores of {first.entry.method} were declared elsewhere: no single answers are known, so "
            "nothing can be tested against it. Make an entry first that was evaluated here."
        )
    return "The other scores were declared elsewhere: no single answers are known, so nothing can be tested."


def _against(other: Compared, pairing: Pairing) -> Against:
    tests = [(BENCHMARKS[slug], test) for slug, test in pairing.benchmarks.items()]
    return Against(other, tests, pairing.average)


def _disputes(
    request: HttpRequest, members: Sequence[Compared], query: Callable[..., str]
) -> dict[str, object]:
    """`query` is that of the page, to which a benchmark may be added."""
    benchmarks = rules.of(members[0].entry.challenge, members[0].entry.protocol).benchmarks
    chosen = request.GET.get("benchmark", "")
    disputed, positions_of = [], {}
    for slug in benchmarks:
        packed = comparison.packed_answers(members, slug)
        if not packed:
            continue
        positions_of[slug] = disagreements(packed)
        address = query(benchmark=slug)
        disputed.append(
            Disputed(BENCHMARKS[slug], len(positions_of[slug]), packed[0].items, address, slug == chosen)
        )
    context: dict[str, object] = {"disputed": disputed}
    if chosen in positions_of:
        page = Paginator(positions_of[chosen], PAGE_SIZE).get_page(request.GET.get("page"))
        context |= {"page_obj": page, "shown": BENCHMARKS[chosen]} | _disputed_items(members, chosen, page)
    return context


def _disputed_items(members: Sequence[Compared], slug: str, page: Page[int]) -> dict[str, object]:
    scores = Score.objects.in_bulk([member.answers[slug].score for member in members])
    try:
        columns = []
        for member in members:
            score = scores[member.answers[slug].score]
            columns.append(items.read(score, items.index_of(score), page.object_list))
    except ItemsMissingError as error:
        return {"missing": str(error)}
    rows = []
    for position, answers in zip(page.object_list, zip(*columns, strict=True), strict=True):
        addresses = [item_url(member.entry, slug, position) for member in members]
        told = list(zip(members, answers, addresses, strict=True))
        rows.append(DisputedItem(position + 1, answers[0].prompt, answers[0].target, told))
    return {"disputed_items": rows}
