"""`/metrics`, in Prometheus' text format, for who knows the token."""

from __future__ import annotations

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse
from django.utils.crypto import constant_time_compare
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe
from prometheus_client import generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

from portal.monitoring.requests import PROCESS
from portal.monitoring.site import SITE


@never_cache
@require_safe
def metrics(request: HttpRequest) -> HttpResponse:
    """Not there at all without the setting: an address says nothing behind a proxy on the same machine."""
    if not settings.METRICS_TOKEN:
        raise Http404("METRICS_TOKEN is not set")
    given = request.headers.get("Authorization", "")
    if not constant_time_compare(given, f"Bearer {settings.METRICS_TOKEN}"):
        challenge = {"WWW-Authenticate": "Bearer"}
        return HttpResponse("Send METRICS_TOKEN as a bearer token.\n", "text/plain", 401, headers=challenge)
    return HttpResponse(generate_latest(PROCESS) + generate_latest(SITE), CONTENT_TYPE_PLAIN_0_0_4)
