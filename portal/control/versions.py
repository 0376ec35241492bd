"""Whether this code and the database are made for each other: migrations, and the release that applied them.

Code of another state must not write into the database: the site could not read it, or would lose what only
newer code knows.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache, lru_cache
from importlib.metadata import PackageNotFoundError, version

from django.db import ProgrammingError, connection
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.recorder import MigrationRecorder
from django.utils import timezone

from evaluation.wire.messages import VERSION as WIRE
from portal.control.models import Release

DISTRIBUTION = "flowertune-leaderboard"
Migration = tuple[str, str]


@cache
def release() -> str:
    """Of this code: the package's version, and that of what workers and their children say to each other."""
    try:
        package = version(DISTRIBUTION)
    except PackageNotFoundError:  # run from a checkout without having been installed
        package = "unknown"
    return f"{package} (wire {WIRE})"


def unapplied() -> list[str]:
    """Migrations of this code that the database lacks, as app.name."""
    return _lacking(_applied())


def misfit() -> str:
    """Why this code must not write into the database, in words; "" where it may."""
    applied = _applied()
    if lacking := _lacking(applied):
        return f"the database lacks {_some(lacking)} of this release ({release()}): run manage.py migrate"
    if unknown := _unknown(applied):
        return f"the database is of a later release: it has {_some(unknown)}, which {release()} does not know"
    found = Release.objects.first()
    if found is not None and found.name != release():
        return (
            f"the database was migrated by release {found.name}, and this is {release()}: "
            "upgrade this one, or run manage.py migrate with it"
        )
    return ""


def record() -> None:
    """Note that this code's `migrate` went through, unless the database is ahead of it."""
    if not unapplied() and not _unknown(_applied()):
        Release.objects.update_or_create(only=True, defaults={"name": release(), "at": timezone.now()})


def recorded() -> Release | None:
    return Release.objects.first()


@cache
def _known() -> MigrationLoader:
    """What this code has; without looking at the database."""
    return MigrationLoader(None)


def _lacking(applied: frozenset[Migration]) -> list[str]:
    """A squashed migration is there when all that it replaces are."""
    known = _known()
    missing = set(known.graph.nodes) - applied
    replaces = {one: known.disk_migrations[one].replaces for one in missing}
    return _names(one for one in missing if not replaces[one] or not set(replaces[one]) <= applied)


def _applied() -> frozenset[Migration]:
    """Read anew only when the table changed: every claim asks."""
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT count(*), max(id) FROM django_migrations")
            state = cursor.fetchone()
    except ProgrammingError:  # a database without tables
        return frozenset()
    return _read(connection.settings_dict["NAME"], state)


@lru_cache(maxsize=4)
def _read(database: str, state: object) -> frozenset[Migration]:
    """The migrations that a database had applied when its table was in that state."""
    return frozenset(MigrationRecorder(connection).applied_migrations())


def _unknown(applied: frozenset[Migration]) -> list[str]:
    """Those of apps that this code has: what an app leaves behind that was taken out says nothing."""
    known = _known()
    return _names(
        one for one in applied if one[0] in known.migrated_apps and one not in known.disk_migrations
    )


def _names(migrations: Iterable[Migration]) -> list[str]:
    return sorted(".".join(one) for one in migrations)


def _some(names: list[str]) -> str:
    more = f" and {len(names) - 1} more" if len(names) > 1 else ""
    return f"the migration {names[-1]}{more}"
