"""Pictures for link previews."""

from __future__ import annotations

from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import get_object_or_404
from django.utils.cache import get_conditional_response
from django.views.decorators.http import require_safe

from evaluation.rules.challenges import CHALLENGES
from leaderboard.addresses import asked_protocol
from leaderboard.entry.preview_cards import PreviewCard, board_card, entry_card
from leaderboard.reading import snapshots
from leaderboard.views.entry import place_of
from portal.submissions.models import Submission


@require_safe
def board(request: HttpRequest, slug: str) -> HttpResponseBase:
    if slug not in CHALLENGES:
        raise Http404(f"no challenge {slug}")
    return _picture(request, board_card(snapshots.current(slug, asked_protocol(request.GET))))


@require_safe
def entry(request: HttpRequest, pk: int) -> HttpResponseBase:
    """404 where the entry has no page, too."""
    submission = get_object_or_404(
        Submission.objects.filter(status__in=Submission.PUBLIC).only("challenge", "status"), pk=pk
    )
    place = place_of(submission, asked_protocol(request.GET))
    standing = place.standing if place.is_on_board else None
    return _picture(request, entry_card(place.entry, standing, disqualified=place.is_disqualified))


def _picture(request: HttpRequest, card: PreviewCard) -> HttpResponseBase:
    tag = f'"{card.digest}"'
    response = get_conditional_response(request, etag=tag)
    if response is None:
        response = HttpResponse(card.png(), content_type="image/png", headers={"ETag": tag})
    response["Cache-Control"] = "public, max-age=3600"
    return response
