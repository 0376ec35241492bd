"""What a mirror does otherwise than a site: it says whose data it shows, and takes nothing."""

from __future__ import annotations

import time
from collections.abc import Callable
from http import HTTPStatus

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.urls import ResolverMatch

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


_AREAS = {"submissions", "review", "desk", "accounts", "notifications", "admin"}
_PAGES = {"baselines:new", "site_texts:contact"}
"""Pages that ask for something to be written, by their area and one by one."""
_OF_THE_LOG = {"api-log", "api-log-entries", "api-log-inclusion", "api-log-consistency", "api-statement"}


class ReadOnlyMirror:
    """Where this is a mirror, refuses whatever would write, and in place of a page that asks for it says
    where the site is that takes it."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if request.method in _SAFE or not (mirror := mirrored()):
            return self.get_response(request)
        response: HttpResponse
        if request.path.startswith("/api/"):
            text = f"This is a read-only mirror. Sign in, submit and review at {mirror.site}."
            response = _problem(HTTPStatus.METHOD_NOT_ALLOWED, "read_only_mirror", text)
        else:
            response = _elsewhere(request, mirror, status=HTTPStatus.METHOD_NOT_ALLOWED)
        response["Allow"] = ", ".join(_SAFE)
        return response

    def process_view(self, request: HttpRequest, *_: object) -> HttpResponse | None:
        match = request.resolver_match
        if match is None or not (mirror := mirrored()):
            return None
        if match.view_name in _OF_THE_LOG:
            text = f"This is a mirror, without a log of its own. Log and statements are at {mirror.site}."
            return _problem(HTTPStatus.NOT_FOUND, "not_found", text)
        is_form = match.namespace in _AREAS or match.view_name in _PAGES or _is_of_accounts(match)
        return _elsewhere(request, mirror) if is_form else None


def _is_of_accounts(match: ResolverMatch) -> bool:
    """Of django-allauth, whose addresses have no area of their own."""
    return match.view_name.startswith(("account_", "socialaccount_", "mfa_"))


def _problem(status: HTTPStatus, code: str, detail: str) -> HttpResponse:
    body = {
        "type": f"urn:flowertune:problem:{code}",
        "title": status.phrase,
        "status": status,
        "detail": detail,
    }
    return JsonResponse(body, status=status, content_type="application/problem+json")


def _elsewhere(request: HttpRequest, mirror: Mirror, status: int = HTTPStatus.OK) -> HttpResponse:
    address = f"{mirror.site}{request.get_full_path()}"
    context = {"site": mirror.site, "address": address}
    response = render(request, "portal/dumps/read_only.html", context, status=status)
    response["X-Robots-Tag"] = "noindex"
    return response
