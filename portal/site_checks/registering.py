"""The checks as Django's framework knows them. Those of the world are there for who asks for them by name."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from django.apps import AppConfig
from django.core import checks
from django.core.checks import CheckMessage

from portal.site_checks import of_machine, of_services, of_settings, of_workers

TAG = "site"
ALL: dict[str, Callable[[], Iterator[CheckMessage]]] = {
    "settings": of_settings.found,
    "database": of_services.database,
    "migrations": of_services.migrations,
    "key": of_services.key,
    "broker": of_services.broker,
    "storage": of_services.storage,
    "disk": of_services.disk,
    "mail": of_services.mail,
    "hub": of_services.hub,
    "sandbox": of_machine.programs,
    "GPU": of_machine.gpu,
    "clock": of_machine.clock,
    "workers": of_workers.workers,
    "scheduler": of_workers.scheduler,
}


def register_all() -> None:
    """Under the tag `site`, and only for a command that asks for it: they take seconds, and write."""
    for found in ALL.values():
        checks.register(_as_django_asks(found), TAG)


def _as_django_asks(found: Callable[[], Iterator[CheckMessage]]) -> Callable[..., list[CheckMessage]]:
    def check(
        app_configs: Sequence[AppConfig] | None, databases: Sequence[str] | None = None, **_: Any
    ) -> list[CheckMessage]:
        return list(found())

    return check
