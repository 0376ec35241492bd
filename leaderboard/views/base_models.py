"""The base models: facts, and every published entry that builds on them."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

from django.db.models import Q
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.views.decorators.http import require_safe

from evaluation.challenges import CHALLENGES, Challenge
from leaderboard import snapshots
from leaderboard.base_models import family_of, parameters_of
from leaderboard.entries import Standing
from portal.submissions.models import BaseModel

SHOWN = 25


@dataclass(frozen=True)
class Summary:
    """A base model in the list; `counts` are its entries by challenge, in board order."""

    model: BaseModel
    family: str
    parameters: int | None
    counts: tuple[int, ...]


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
    """Those that accept submissions, and those that have an entry; the ones with most entries first."""
    standings = _standings()
    models = BaseModel.objects.filter(Q(active=True) | Q(hub_id__in=list(standings))).defer("tensors")
    summaries = [
        Summary(
            model,
            family_of(model.hub_id),
            model.parameters or parameters_of(model.name),
            tuple(len(standings[model.hub_id][slug]) for slug in CHALLENGES),
        )
        for model in models
    ]
    summaries.sort(key=lambda row: (-sum(row.counts), row.model.hub_id.casefold()))
    return render(request, "leaderboard/base_models.html", {"summaries": summaries})


@require_safe
def base_model(request: HttpRequest, pk: int) -> HttpResponse:
    model = get_object_or_404(BaseModel.objects.defer("tensors"), pk=pk)
    own = _standings()[model.hub_id]
    if not (model.active or any(own.values())):
        get_object_or_404(BaseModel, pk=pk, active=True)
    context = {
        "model": model,
        "family": family_of(model.hub_id),
        "parameters": model.parameters or parameters_of(model.name),
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


def _standings() -> defaultdict[str, defaultdict[str, list[Standing]]]:
    """All standings by hub id, then by challenge."""
    found: defaultdict[str, defaultdict[str, list[Standing]]] = defaultdict(lambda: defaultdict(list))
    for slug in CHALLENGES:
        for standing in snapshots.current(slug).standings:
            found[standing.entry.hub_id][slug].append(standing)
    return found
