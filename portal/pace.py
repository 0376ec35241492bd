"""How many views of their own making readers without an account may have computed."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.template import loader
from rest_framework.settings import api_settings

from portal import rates


def refusal(request: HttpRequest) -> HttpResponse | None:
    """Count one such view; the answer 429 where the reader's address has had too many.

    Whoever is signed in is known, and not counted.
    """
    rate = api_settings.DEFAULT_THROTTLE_RATES["views"]
    if rate is None or request.user.is_authenticated:
        return None
    hit = rates.hit(str(rate), "views", rates.address_of(request))
    if hit.is_allowed:
        return None
    page = loader.render_to_string("429.html", {"seconds": hit.reset, "quota": hit.quota})
    return HttpResponse(
        page, status=429, headers={"Retry-After": str(hit.reset), "Cache-Control": "no-store"}
    )
