"""The base models: facts, and every published entry that builds on them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from django.db.models import Q
from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import get_object_or_404, render
from django.views.decorators.http import require_safe

from evaluation.rules.base_size import named_size
from evaluation.rules.challenges import CHALLENGES, Challenge
from leaderboard.addresses import PARAMETER, ProtocolLink, asked_protocol
from leaderboard.board.filters import Filters
from leaderboard.reading import snapshots
from leaderboard.reading.model_names import family_of
from leaderboard.standing.entries import Standing
from leaderboard.standing.preference import preferred, without_demonstration
from portal.submissions.models import BaseModel

SHOWN = 25


@dataclass(frozen=True)
class Domain:
    """What a base model did in a challenge: `count` entries in all, and of those that are ranked together
    the `first` of so many `trained`, the average of the model untuned and the median gain, each None where
    not known. Where none is ranked `first` is the best that was declared, and no gain on demonstration data
    stands beside it. `title` is the challenge's."""

    title: str
    count: int
    trained: int
    first: Standing | None
    untuned: float | None
    gain: float | None

    @classmethod
    def of(cls, title: str, standings: Sequence[Standing]) -> Domain:
        """Of the standings of one base model in the board's order, the most trustworthy track first."""
        ranked = [s for s in without_demonstration(standings) if s.rank is not None]
        alike = [s.entry for s in ranked if _conditions(s) == _conditions(ranked[0])]
        trained = [s for s in preferred(standings) if s.entry.adapted and not s.entry.flags]
        untuned = [entry.average for entry in alike if not entry.adapted and entry.average is not None]
        gains = [entry.gain for entry in alike if entry.gain is not None]
        return cls(
            title=title,
            count=len(standings),
            trained=len(trained),
            first=trained[0] if trained else None,
            untuned=max(untuned, default=None),
            gain=median(gains) if gains else None,
        )


@dataclass(frozen=True)
class Summary:
    """A base model in the list, with what it did in each challenge."""

    model: BaseModel
    family: str
    parameters: int | None
    domains: tuple[Domain, ...]

    @property
    def entries(self) -> int:
        return sum(domain.count for domain in self.domains)


@dataclass(frozen=True)
class Choice:
    """Which base models a reader wants to see, and in which order: as in `orders`, "" those with most
    entries first. Sizes are in billions; a model of an unknown size does not pass a limit of it."""

    q: str
    licence: str
    max_size: float | None
    open: bool
    sort: str

    @classmethod
    def of(cls, query: QueryDict) -> Choice:
        sort = query.get("sort", "")
        return cls(
            q=query.get("q", "").strip()[:100],
            licence=query.get("licence", "")[:100],
            max_size=Filters.of(query).max_size,
            open=query.get("open") == "yes",
            sort=sort if sort in orders() else "",
        )

    def passes(self, row: Summary) -> bool:
        size = row.parameters
        return (
            self.q.casefold() in row.model.hub_id.casefold()
            and self.licence in ("", row.model.licence)
            and (self.max_size is None or (size is not None and size <= self.max_size * 1e9))
            and (row.model.active or not self.open)
        )

    def order(self, row: Summary) -> tuple[float, str]:
        """What rows are sorted by; the name decides between equal ones."""
        name = row.model.hub_id.casefold()
        if self.sort == "name":
            return 0.0, name
        if self.sort == "size":
            return (float("inf") if row.parameters is None else row.parameters), name
        if self.sort in CHALLENGES:
            first = row.domains[list(CHALLENGES).index(self.sort)].first
            return (1.0 if first is None else -(first.entry.average or 0.0)), name
        return -row.entries, name


def orders() -> dict[str, str]:
    """The orders of the list by their names in an address."""
    best = {slug: f"Best in {challenge.title}" for slug, challenge in CHALLENGES.items()}
    return {"": "Most entries", "size": "Smallest", "name": "Name", **best}


@dataclass(frozen=True)
class Board:
    """The `count` entries of a base model on one board, of which `standings` are the first in its order.

    `untuned` is the model without an adapter.
    """

    challenge: Challenge
    count: int
    standings: tuple[Standing, ...]
    untuned: Standing | None


@require_safe
def base_models(request: HttpRequest) -> HttpResponse:
    """Those that accept submissions, and those that have an entry, as the address asks."""
    standings = _standings()
    models = BaseModel.objects.filter(Q(active=True) | Q(hub_id__in=list(standings))).defer("tensors")
    summaries = [
        Summary(
            model,
            family_of(model.hub_id),
            model.parameters or named_size(model.name),
            tuple(Domain.of(each.title, standings[model.hub_id][slug]) for slug, each in CHALLENGES.items()),
        )
        for model in models
    ]
    licences = sorted({row.model.licence for row in summaries if row.model.licence}, key=str.casefold)
    view = Choice.of(request.GET)
    found = sorted((row for row in summaries if view.passes(row)), key=view.order)
    context = {"summaries": found, "listed": len(summaries), "licences": licences, "view": view}
    return render(request, "leaderboard/base_models.html", context | {"orders": orders()})


@require_safe
def base_model(request: HttpRequest, pk: int) -> HttpResponse:
    """Under the protocol that the address names, else the site's own, or another if only that has entries."""
    model = get_object_or_404(BaseModel.objects.defer("tensors"), pk=pk)
    asked, known = asked_protocol(request.GET), _protocols()
    for protocol in known if asked is None else [asked]:
        own = _standings(protocol)[model.hub_id]
        if any(own.values()):
            break
    else:
        protocol = asked or known[0]
    if not (model.active or any(own.values())):
        get_object_or_404(BaseModel, pk=pk, active=True)
    context = {
        "model": model,
        "protocol": protocol,
        "protocols": _links(request.path, known, protocol),
        "family": family_of(model.hub_id),
        "parameters": model.parameters or named_size(model.name),
        "boards": [
            Board(
                challenge,
                len(rows),
                tuple(rows[:SHOWN]),
                next((s for s in rows if not s.entry.adapted), None),
            )
            for slug, challenge in CHALLENGES.items()
            if (rows := own[slug])
        ],
    }
    return render(request, "leaderboard/base_model.html", context)


def _conditions(standing: Standing) -> tuple[str, str]:
    return standing.track, standing.entry.precision


def _protocols() -> list[int]:
    """Those that some challenge has a board of, the site's own first."""
    boards = [snapshots.current(slug).protocols for slug in CHALLENGES]
    return [boards[0][0], *sorted({number for board in boards for number in board} - {boards[0][0]})]


def _links(path: str, known: list[int], shown: int) -> list[ProtocolLink]:
    """The page under each protocol; none where there is one."""
    numbers = list(dict.fromkeys([*known, shown]))
    if len(numbers) < 2:
        return []
    return [ProtocolLink(number, f"{path}?{PARAMETER}={number}", number == shown) for number in numbers]


def _standings(protocol: int | None = None) -> defaultdict[str, defaultdict[str, list[Standing]]]:
    """All standings by hub id, then by challenge."""
    found: defaultdict[str, defaultdict[str, list[Standing]]] = defaultdict(lambda: defaultdict(list))
    for slug in CHALLENGES:
        for standing in snapshots.current(slug, protocol).standings:
            found[standing.entry.hub_id][slug].append(standing)
    return found
