"""What automatic readers are asked to leave alone."""

from __future__ import annotations

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.views.decorators.http import require_safe

# Filters and sorting make endless variants of a board; the rest is private or made for programs.
_CLOSED = (
    "/accounts/",
    "/admin/",
    "/api/",
    "/submissions/",
    "/submit/",
    "/leaderboard/*?",
    "/compare/",
    "/changes/?",
)


@require_safe
def robots(_request: HttpRequest) -> HttpResponse:
    lines = [
        "User-agent: *",
        *(f"Disallow: {path}" for path in _CLOSED),
        f"Allow: {reverse('api-docs')}",
        f"Sitemap: {settings.SITE_URL}{reverse('sitemap')}",
    ]
    return HttpResponse("\n".join(lines) + "\n", content_type="text/plain; charset=utf-8")
