"""How many requests a minute: a user's together, and for those without an account an address's."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from django.http import HttpRequest, HttpResponse
from rest_framework.request import Request
from rest_framework.settings import api_settings
from rest_framework.throttling import BaseThrottle

from portal import rates

if TYPE_CHECKING:  # the settings name this module, and views read the settings
    from rest_framework.views import APIView


class RequestRate(BaseThrottle):
    """The rates of the settings; what is left stands with the request for `RateLimitHeaders`."""

    def allow_request(self, request: Request, view: APIView) -> bool:
        is_known = bool(request.user and request.user.is_authenticated)
        scope = "user" if is_known else "anon"
        rate = api_settings.DEFAULT_THROTTLE_RATES[scope]
        if rate is None:
            return True
        self.hit = rates.hit(str(rate), scope, str(request.user.pk) if is_known else self.get_ident(request))
        request._request.rate_limit = _headers(scope, self.hit)  # type: ignore[attr-defined]
        return self.hit.is_allowed

    def wait(self) -> float:
        return self.hit.reset


def _headers(policy: str, hit: rates.Hit) -> dict[str, str]:
    """As draft-ietf-httpapi-ratelimit-headers writes them."""
    return {
        "RateLimit-Policy": f'"{policy}";q={hit.quota};w={hit.window}',
        "RateLimit": f'"{policy}";r={hit.remaining};t={hit.reset}',
    }


class RateLimitHeaders:
    """Middleware that tells every client of the API what is left of its requests."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        headers: dict[str, str] = getattr(request, "rate_limit", {})
        for name, value in headers.items():
            response[name] = value
        return response
