"""A web process serves nothing from a database that lacks migrations: it says so, and waits."""

from __future__ import annotations

import time
from collections.abc import Callable

from django.conf import settings
from django.db import DatabaseError
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render

from portal.control import versions

RETRY_SECONDS = 15
_LOOKS_SECONDS = 2.0
_PROBES = ("/healthz", "/readyz", "/metrics")


class _Known:
    """Once all are applied, they stay so."""

    lacking: list[str] | None = None
    until = 0.0


def lacking() -> list[str]:
    """The migrations that the database lacks, looked for every few seconds until it has all.

    Raises OperationalError where the database does not answer.
    """
    if _Known.lacking == [] or time.monotonic() < _Known.until:
        return _Known.lacking or []
    _Known.lacking = versions.unapplied()
    _Known.until = time.monotonic() + _LOOKS_SECONDS
    return _Known.lacking


def reason() -> str:
    """Why nothing is served, for operators; "" where it is."""
    names = lacking()
    return f"{len(names)} migrations are not applied: run manage.py migrate" if names else ""


class MigrationsFirst:
    """Middleware: 503 on every address but the probes' until the migrations are there."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if request.path in _PROBES or request.path.startswith(settings.STATIC_URL) or not _is_lacking():
            return self.get_response(request)
        response: HttpResponse
        if request.path.startswith("/api/"):
            problem = {
                "type": "urn:flowertune:problem:unavailable",
                "title": "Service Unavailable",
                "status": 503,
                "detail": "The site is being upgraded. Try again in a moment.",
            }
            response = JsonResponse(problem, status=503, content_type="application/problem+json")
        else:
            response = render(None, "upgrading.html", status=503)
        response["Retry-After"] = str(RETRY_SECONDS)
        response["Cache-Control"] = "no-store"
        return response


def _is_lacking() -> bool:
    try:
        return bool(lacking())
    except DatabaseError:  # the page itself says that the database is away
        return False
