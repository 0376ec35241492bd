"""Upgrade and return: a site of an earlier version, restored here, shows the same boards with all later
migrations, also after these were taken back and applied again.
"""

from __future__ import annotations

import json
import tarfile
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connection
from django.db.migrations.executor import MigrationExecutor

from portal.management.backups import restoring
from tests.leaderboard.sites import empty_site
from tests.portal.test_migrations import LARGE
from tests.profiles import only_long
from tests.upgrade import KEPT, LIMIT, SECRET_KEY, standing

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def kept(settings: Any, tmp_path: Path) -> Path:
    assert KEPT.stat().st_size < LIMIT
    with tarfile.open(KEPT) as archive:
        archive.extractall(tmp_path / "kept", filter="data")
    settings.SECRET_KEY = SECRET_KEY
    return tmp_path / "kept"


@pytest.mark.slow("a database is made of a dump, and migrated")
def test_an_earlier_site_goes_on_with_the_same_boards(
    kept: Path, settings: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before: dict[str, int] = {}

    def noted(command: str, **options: Any) -> None:
        before.update(_places_on_disk())
        call_command(command, **options)

    monkeypatch.setattr(restoring, "call_command", noted)
    with empty_site(settings, tmp_path / "site"):
        out = StringIO()
        call_command("restore", str(kept / "backups"), stdout=out)
        assert "are sound" in out.getvalue(), out.getvalue()
        assert standing.boards() == _boards(kept)
        after = _places_on_disk()
        assert {name for name in before if after[name] != before[name]} == set()  # nothing was written anew


@only_long
@pytest.mark.slow("takes every later migration back and applies them again")
def test_later_migrations_can_be_taken_back_where_nobody_wrote_after_them(
    kept: Path, settings: Any, tmp_path: Path
) -> None:
    with empty_site(settings, tmp_path / "site"):
        call_command("restore", str(kept / "backups"), stdout=StringIO())
        _take_back(_kept_migrations(kept))
        call_command("migrate", verbosity=0)
        assert standing.boards() == _boards(kept)


def _boards(kept: Path) -> Any:
    return json.loads((kept / "boards.json").read_text())


def _kept_migrations(kept: Path) -> set[tuple[str, str]]:
    (manifest,) = kept.glob("backups/*/manifest.json")
    names = json.loads(manifest.read_text())["migrations"]
    return {(app, name) for app, _, name in (one.partition(".") for one in names)}


def _take_back(kept: set[tuple[str, str]]) -> None:
    """All later migrations."""
    executor = MigrationExecutor(connection)
    nodes = executor.loader.graph.node_map
    last: list[tuple[str, str | None]] = [
        key
        for key in kept
        if not any(child.key[0] == key[0] and child.key in kept for child in nodes[key].children)
    ]
    new_apps = {app for app, _ in nodes} - {app for app, _ in kept}
    executor.migrate([*last, *((app, None) for app in new_apps)])
    applied = set(MigrationExecutor(connection).loader.applied_migrations)
    assert applied == kept


def _places_on_disk() -> dict[str, int]:
    """By large table the file that holds it, which changes when all of it is written anew."""
    with connection.cursor() as cursor:
        tables = [name.replace(".", "_") for name in LARGE]
        cursor.execute("SELECT relname, relfilenode FROM pg_class WHERE relname = ANY(%s)", [tables])
        return dict(cursor.fetchall())
