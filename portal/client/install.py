"""The one command that installs the client, for every page that names it."""

from __future__ import annotations

from django.http import HttpRequest
from django.urls import reverse

from portal.client.wheel import file_name


def wheel_address(request: HttpRequest) -> str:
    """Where this site serves the file, as the reader reaches the site."""
    return request.build_absolute_uri(reverse("client:wheel", args=[file_name().removesuffix(".whl")]))


def install_command(request: HttpRequest) -> str:
    return f"pip install {wheel_address(request)}"
