"""Upgrade: a site of an earlier version, restored here with all later migrations, shows the same boards."""

from __future__ import annotations

import json
import tarfile
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connection

from portal.management.backups import restoring
from tests.leaderboard.sites import empty_site
from tests.portal.test_migrations import LARGE
from tests.upgrade import KEPT, LIMIT, SECRET_KEY, standing

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.mark.slow("a database is made of a dump, and migrated")
def test_an_earlier_site_goes_on_with_the_same_boards(
    settings: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert KEPT.stat().st_size < LIMIT
    with tarfile.open(KEPT) as archive:
        archive.extractall(tmp_path / "kept", filter="data")
    before: dict[str, int] = {}

    def noted(command: str, **options: Any) -> None:
        before.update(_places_on_disk())
        call_command(command, **options)

    monkeypatch.setattr(restoring, "call_command", noted)
    settings.SECRET_KEY = SECRET_KEY
    with empty_site(settings, tmp_path / "site"):
        out = StringIO()
        call_command("restore", str(tmp_path / "kept" / "backups"), stdout=out)
        assert "are sound" in out.getvalue(), out.getvalue()
        assert standing.boards() == json.loads((tmp_path / "kept" / "boards.json").read_text())
        after = _places_on_disk()
        assert {name for name in before if after[name] != before[name]} == set()  # nothing was written anew


def _places_on_disk() -> dict[str, int]:
    """By large table the file that holds it, which changes when all of it is written anew."""
    with connection.cursor() as cursor:
        tables = [name.replace(".", "_") for name in LARGE]
        cursor.execute("SELECT relname, relfilenode FROM pg_class WHERE relname = ANY(%s)", [tables])
        return dict(cursor.fetchall())
