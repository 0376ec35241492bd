"""The page that lists all operations of the API."""

from __future__ import annotations

from functools import cache

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.template.loader import render_to_string
from django.utils.html import escape
from django.utils.safestring import mark_safe
from django.views.decorators.http import require_safe

from portal.api import curl
from portal.api.reference import reference


@require_safe
def api_reference(request: HttpRequest) -> HttpResponse:
    origin = escape(f"{request.scheme}://{request.get_host()}")
    operations = mark_safe(_operations().replace(curl.SITE, origin))  # noqa: S308 -- a template's, which escapes
    context = {"tags": reference().tags, "operations": operations}
    return render(request, "portal/api/reference.html", context)


@cache
def _operations() -> str:
    """The page's long part, the same for all readers but for the site's address."""
    return render_to_string("portal/api/_operations.html", {"reference": reference()})
