"""Of the settings alone: they fit each other, and a site that others can reach. Asks nothing of the world."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from difflib import get_close_matches
from typing import Any
from urllib.parse import urlsplit

from django.apps import AppConfig
from django.conf import settings
from django.core.checks import CheckMessage, Error, Warning
from django.http.request import validate_host

from portal.environment import Environment

_LOOPBACK = ("127.0.0.1", "localhost", "::1")
_SHORT_KEY = 50
_ALIKE = 0.9


def check_settings(
    app_configs: Sequence[AppConfig] | None = None, databases: Sequence[str] | None = None, **_: Any
) -> list[CheckMessage]:
    return list(found())


def is_on_loopback() -> bool:
    """Whether only this machine's users reach the site, where much may be left as it is."""
    return urlsplit(settings.SITE_URL).hostname in _LOOPBACK


def found() -> Iterator[CheckMessage]:
    yield from _misspelt(os.environ)
    site = urlsplit(settings.SITE_URL)
    if not settings.DEBUG and not validate_host(site.hostname or "", settings.ALLOWED_HOSTS):
        yield Error(
            f"ALLOWED_HOSTS does not name the host of SITE_URL, {site.hostname}: every request is refused.",
            hint=f"Set ALLOWED_HOSTS to {site.hostname}, with the names that probes and Prometheus use.",
            id="site.E001",
        )
    if is_on_loopback():
        return
    if settings.DEBUG:
        yield Error(
            "DEBUG is on: error pages show settings and code to everybody.",
            hint="Unset DEBUG.",
            id="site.E002",
        )
    elif settings.SECURE_SSL_REDIRECT and site.scheme != "https":
        yield Error(
            "SITE_URL begins with http://, and HTTPS is on: mailed links and passkeys do not fit the site.",
            hint=f"Set SITE_URL to https://{site.netloc}, or HTTPS=0 inside a closed network.",
            id="site.E003",
        )
    if settings.SECURE_SSL_REDIRECT and not settings.TRUST_PROXY:
        yield Warning(
            "TRUST_PROXY is off: behind a proxy that ends TLS every request is redirected for ever.",
            hint="Set TRUST_PROXY=1 where all requests come through a proxy that sets X-Forwarded-Proto.",
            id="site.W004",
        )
    if len(settings.SECRET_KEY) < _SHORT_KEY:
        yield Warning(
            f"SECRET_KEY has less than {_SHORT_KEY} characters and may be guessed.",
            hint="Make one: python -c 'import secrets; print(secrets.token_urlsafe(50))'",
            id="site.W005",
        )


def _misspelt(variables: Iterable[str]) -> Iterator[CheckMessage]:
    """A variable that nothing reads leaves a setting as it was, without a word."""
    known = {name.upper() for name in Environment.model_fields}
    for name in variables:
        meant = [] if name in known else get_close_matches(name, known, n=1, cutoff=_ALIKE)
        if meant and meant[0] not in variables:
            yield Warning(
                f"The variable {name} is no setting; {meant[0]} is one, and is not set.",
                hint=f"If {meant[0]} is meant, rename it.",
                id="site.W006",
            )
