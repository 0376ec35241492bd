"""The page that explains the figures and the ranking."""

from __future__ import annotations

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from evaluation.leakage.sources import NONE_KNOWN
from evaluation.statistics import RESAMPLES
from portal.runs import ngrams
from portal.runs.reproductions import TOLERANCE


@require_safe
def method(request: HttpRequest) -> HttpResponse:
    context = {
        "tolerance": TOLERANCE,
        "resamples": RESAMPLES,
        "training_sets": ngrams.training_sets(),
        "leakage_unknown": NONE_KNOWN.values(),
        "protocols": settings.LEADERBOARD_PROTOCOLS,
    }
    return render(request, "leaderboard/method.html", context)
