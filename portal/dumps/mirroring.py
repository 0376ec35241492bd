"""What a mirror does otherwise than a site: it says whose data it shows, and takes nothing."""

from __future__ import annotations

import time
from collections.abc import Callable

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render

from portal.dumps.models import Mirror

_SAFE = ("GET", "HEAD", "OPTIONS")
_LOOKS_SECONDS = 60.0


class _Known:
    """What this process found out of the database, and until when it may have become otherwise. A mirror
    stays one."""

    mirror: Mirror | None = None
    until = 0.0


def mirrored() -> Mirror | None:
    """Of whom this database is a mirror; None where it is a site's own."""
    if _Known.mirror is None and time.monotonic() >= _Known.until:
        _Known.mirror = Mirror.objects.defer("manifest").first()
        _Known.until = time.monotonic() + _LOOKS_SECONDS
    return _Known.mirror


def look_again() -> None:
    """Forget what this process knows, after an import."""
    _Known.mirror, _Known.until = None, 0.0


class ReadOnlyMirror:
    """Refuses whatever would write, where this is a mirror."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if request.method in _SAFE or not (mirror := mirrored()):
            return self.get_response(request)
        text = f"This is a read-only mirror. Sign in, submit and review at {mirror.site}."
        response: HttpResponse
        if request.path.startswith("/api/"):
            problem = {
                "type": "urn:flowertune:problem:read_only_mirror",
                "title": "Method Not Allowed",
                "status": 405,
                "detail": text,
                "findings": [],
            }
            response = JsonResponse(problem, status=405, content_type="application/problem+json")
        else:
            response = render(request, "portal/dumps/read_only.html", {"text": text}, status=405)
        response["Allow"] = ", ".join(_SAFE)
        return response
