"""Maintenance of the site: nothing is started meanwhile, and every page says why."""

from __future__ import annotations

import time
from contextlib import suppress

from django.db import InterfaceError, OperationalError

from portal.control.models import Maintenance

# How late a web process or a page may know of its beginning or end.
LOOKS_SECONDS = 2.0


class _Known:
    """What this process found in the database, and until when it may have become otherwise."""

    current: Maintenance | None = None
    until = 0.0


def current() -> Maintenance | None:
    """The maintenance that lasts, as this process knows it; asked by every page.

    While the database is away, what was known before stays so.
    """
    if time.monotonic() >= _Known.until:
        with suppress(OperationalError, InterfaceError):
            _Known.current = Maintenance.objects.first()
        _Known.until = time.monotonic() + LOOKS_SECONDS
    return _Known.current


def stamp() -> str:
    """Another one for each state in which pages are different."""
    lasting = current()
    return f"{lasting.since}{lasting.reason}" if lasting else ""


def look_again() -> None:
    """Forget what this process knows."""
    _Known.until = 0.0
