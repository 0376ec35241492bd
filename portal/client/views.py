"""The page of the command line, and its file.

The file is built from the code that runs, in memory: it always speaks this site's API and makes its checks,
and there is no half-built one to serve.
"""

from __future__ import annotations

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import condition, require_safe

from portal.client.install import wheel_address
from portal.client.wheel import REQUIREMENTS, REQUIRES_PYTHON, client_wheel


@require_safe
def page(request: HttpRequest) -> HttpResponse:
    wheel = client_wheel()
    context = {
        "wheel": wheel,
        "size": len(wheel.content),
        "requirements": REQUIREMENTS,
        "python": REQUIRES_PYTHON.removeprefix(">="),
        "whole_address": _with_digest(request),
    }
    return render(request, "portal/client/page.html", context)


@require_safe
def address(request: HttpRequest) -> HttpResponse:
    """For scripts: the file's address with its digest, which pip compares."""
    return HttpResponse(f"{_with_digest(request)}\n", content_type="text/plain")


def _etag(request: HttpRequest, name: str) -> str:
    return f'"{client_wheel().sha256}"'


@require_safe
@condition(etag_func=_etag)
def wheel(request: HttpRequest, name: str) -> HttpResponse:
    """The file, under the name of the version that it is."""
    current = client_wheel()
    if f"{name}.whl" != current.name:
        raise Http404(f"{name}.whl is no longer here; {current.name} is.")
    headers = {"Content-Disposition": f'attachment; filename="{current.name}"', "Cache-Control": "no-cache"}
    return HttpResponse(current.content, content_type="application/octet-stream", headers=headers)


def _with_digest(request: HttpRequest) -> str:
    return f"{wheel_address(request)}#sha256={client_wheel().sha256}"
