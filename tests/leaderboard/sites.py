"""Another site beside the one of the tests: an empty database and storage, and nothing remembered."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from django.core.cache import cache
from django.db import connection

from leaderboard.reading import snapshots


def folder(location: Path) -> dict[str, Any]:
    return {"BACKEND": "portal.uploads.whole_files.WholeFileStorage", "OPTIONS": {"location": location}}


def place_storage(settings: Any, storage: dict[str, Any]) -> None:
    settings.STORAGES = {**settings.STORAGES, "default": storage}


@contextmanager
def empty_site(settings: Any, place: Path, storage: dict[str, Any] | None = None) -> Iterator[None]:
    """Another database, another storage, and nothing remembered."""
    name, fresh = connection.settings_dict["NAME"], f"{connection.settings_dict['NAME']}_restored"
    forget()
    with connection.cursor() as cursor:
        cursor.execute(f'DROP DATABASE IF EXISTS "{fresh}"')
        cursor.execute(f'CREATE DATABASE "{fresh}" TEMPLATE template0')
    connection.close()
    connection.settings_dict["NAME"] = fresh
    before, var = settings.STORAGES, settings.VAR_DIR
    settings.VAR_DIR = place / "var"
    place_storage(settings, storage or folder(place / "storage"))
    try:
        yield
    finally:
        connection.close()
        connection.settings_dict["NAME"] = name
        settings.STORAGES, settings.VAR_DIR = before, var
        forget()
        with connection.cursor() as cursor:
            cursor.execute(f'DROP DATABASE "{fresh}" WITH (FORCE)')


def forget() -> None:
    """As in a process that has just started, without a cache."""
    cache.clear()
    snapshots._known.clear()
