"""Counts, times and traces requests by route, and gives each an id, for its log lines and its answer."""

from __future__ import annotations

import re
import time
import uuid
from collections.abc import Callable

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from prometheus_client import CollectorRegistry, Histogram, ProcessCollector

from evaluation.log_lines import about
from portal import tracing
from portal.tracing import Span

REQUEST_ID = "X-Request-ID"
UNKNOWN = "unknown"
"""The route of an address that is none, and of static files; and a method that is none of HTTP's."""

# A proxy's own form of id; nothing else gets into the log.
_ID = re.compile(r"[A-Za-z0-9._:=-]{1,80}")
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})

PROCESS = CollectorRegistry()
"""What this web process counts by itself: the site has one, with threads."""
ProcessCollector(registry=PROCESS)
_SECONDS = Histogram(
    "flowertune_request_duration_seconds",
    "From a request's arrival to the beginning of its answer",
    ["route", "method", "status"],
    buckets=(0.025, 0.1, 0.25, 1.0, 2.5, 10.0),
    registry=PROCESS,
)


class RequestRecord:
    """Middleware, the outermost one, so that what the others answer counts too."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        began, at, request_id = time.monotonic(), time.time(), _id_of(request)
        request.log_id = request_id  # type: ignore[attr-defined]
        with about(request=request_id), tracing.request() as concerned:
            response = self.get_response(request)
        match = request.resolver_match
        method = request.method if request.method in _METHODS else UNKNOWN
        route = match.route if match else UNKNOWN
        _SECONDS.labels(route, method, response.status_code).observe(time.monotonic() - began)
        for submission, first in concerned.items():
            said: dict[str, str | int] = {
                "http.request.method": method,
                "http.route": route,
                "http.response.status_code": response.status_code,
                "request": request_id,
            }
            key = tracing.ROOT if first else ""
            tracing.record(Span(submission, f"{method} {route}", at, time.time(), key=key, attributes=said))
        response[REQUEST_ID] = request_id
        return response


def _id_of(request: HttpRequest) -> str:
    """The proxy's where one is trusted and sends one, else a new one."""
    given = request.headers.get(REQUEST_ID, "") if settings.TRUST_PROXY else ""
    return given if _ID.fullmatch(given) else uuid.uuid4().hex
