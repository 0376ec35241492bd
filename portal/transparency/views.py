"""The public keys and the log's parameters, where programs look for such documents."""

from __future__ import annotations

from django.http import HttpRequest, JsonResponse
from django.urls import reverse
from django.views.decorators.http import conditional_page, require_safe

from portal.transparency import keys


@require_safe
@conditional_page
def log_keys(request: HttpRequest) -> JsonResponse:
    log = {
        "tree": "RFC 6962",
        "hash": "SHA-256",
        "signature": "Ed25519",
        "envelope": "DSSE",
        "head": request.build_absolute_uri(reverse("api-log")),
        "entries": request.build_absolute_uri(reverse("api-log-entries")),
    }
    response = JsonResponse({**keys.key_set().to_json(), "parameters": log})
    response["Cache-Control"] = "public, no-cache"
    response["Access-Control-Allow-Origin"] = "*"
    return response
