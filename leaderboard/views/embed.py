"""An entry outside of this site: a badge for a README and a small page for a frame."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from csp.decorators import csp_replace
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.template.loader import render_to_string
from django.utils.cache import patch_cache_control
from django.utils.http import parse_etags
from django.views.decorators.clickjacking import xframe_options_exempt
from django.views.decorators.http import require_safe

from evaluation.benchmarks import BENCHMARKS
from evaluation.rules.challenges import CHALLENGES
from leaderboard.addresses import asked_protocol, protocol_query
from leaderboard.board.columns import rank_text
from leaderboard.charts.palette import light_colours
from leaderboard.entry.place import Place
from leaderboard.figures import percent
from leaderboard.markup import xml_text
from leaderboard.standing.entries import Track
from leaderboard.views.entry import place_of, public

KEPT_SECONDS = 300
_CHARACTER, _PADDING = 6.6, 8


@dataclass(frozen=True)
class Badge:
    """Two fields of text with their widths in pixels; `colour` is that of the second."""

    label: str
    text: str
    colour: str

    @property
    def left(self) -> int:
        return _width(self.label)

    @property
    def right(self) -> int:
        return _width(self.text)

    @property
    def width(self) -> int:
        return self.left + self.right


@require_safe
def badge(request: HttpRequest, pk: int) -> HttpResponse:
    """Rank and average as they stand, as a picture of 20 pixels' height."""
    submission = public(pk)
    place = place_of(submission, asked_protocol(request.GET))
    made = Badge(f"FlowerTune {CHALLENGES[submission.challenge].title}", _badge_text(place), _colour(place))
    content = render_to_string("leaderboard/badge.svg", {"badge": made})
    etag = f'"{hashlib.sha256(content.encode()).hexdigest()[:32]}"'
    known = parse_etags(request.headers.get("If-None-Match", ""))
    response = HttpResponse(status=304) if etag in known else HttpResponse(content, "image/svg+xml")
    response["ETag"] = etag
    patch_cache_control(response, public=True, max_age=KEPT_SECONDS)
    return response


@require_safe
@xframe_options_exempt
@csp_replace({"frame-ancestors": ["*"]})
def embed(request: HttpRequest, pk: int) -> HttpResponse:
    """A page of the entry's figures alone. It holds no forms and nothing of who looks at it."""
    submission = public(pk)
    place = place_of(submission, asked_protocol(request.GET))
    context = {
        "submission": submission,
        "challenge": CHALLENGES[submission.challenge],
        "entry": place.entry,
        "protocol": place.protocol if protocol_query(place.protocol) else 0,
        "standing": place.standing,
        "scores": [(BENCHMARKS[score.benchmark], score) for score in place.entry.scores],
    }
    response = render(request, "leaderboard/embed.html", context)
    patch_cache_control(response, public=True, max_age=KEPT_SECONDS)
    return response


def _badge_text(place: Place) -> str:
    if not place.is_on_board:
        return "disqualified" if place.is_disqualified else "not on the board"
    average = f"{percent(place.entry.average)}%" if place.entry.average is not None else "incomplete"
    if place.standing.rank is None:
        return f"{average} {'declared' if place.standing.track is Track.DECLARED else 'not ranked'}"
    mark = " demonstration" if place.standing.track is Track.DEMONSTRATION else ""
    if protocol_query(place.protocol):
        mark += f" · protocol {place.protocol}"
    return xml_text(f"#{rank_text(place.standing)} · {average}{mark}")


def _colour(place: Place) -> str:
    """Of a ranked official entry the challenge's own, as in site.css; of all others a grey."""
    is_ranked = place.is_on_board and place.standing.rank is not None
    if not is_ranked or place.standing.track is not Track.OFFICIAL:
        return "#555d65"
    return light_colours(place.entry.challenge)["accent"]


def _width(text: str) -> int:
    return round(len(text) * _CHARACTER) + 2 * _PADDING
