"""The public change log."""

from __future__ import annotations

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.http import urlencode
from django.views.decorators.http import require_safe

from evaluation.rules.challenges import CHALLENGES
from leaderboard.reading.changes import Cursor, Kind
from leaderboard.reading.changes import changes as history


@require_safe
def changes(request: HttpRequest) -> HttpResponse:
    """404 where challenge, kind or place are none that the page itself links to."""
    chosen = {name: request.GET[name] for name in ("challenge", "kind") if request.GET.get(name)}
    try:
        challenge = CHALLENGES[chosen["challenge"]] if "challenge" in chosen else None
        kind = Kind(chosen["kind"]) if "kind" in chosen else None
        before = Cursor.of(request.GET["before"]) if request.GET.get("before") else None
    except (KeyError, ValueError) as error:
        raise Http404(f"no such part of the history: {error}") from error
    page = history(challenge=challenge, kinds=(kind,) if kind else tuple(Kind), before=before)
    context = {
        "changes": page.changes,
        "challenge": challenge,
        "kind": kind,
        "kinds": list(Kind),
        "newest_query": urlencode(chosen),
        "older_query": urlencode({**chosen, "before": str(page.older)}) if page.older else "",
        "is_first": before is None,
    }
    return render(request, "leaderboard/changes.html", context)
