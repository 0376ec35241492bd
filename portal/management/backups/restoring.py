"""Brings a site back from a backup, into a database and a storage that are empty."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.core.cache import cache
from django.core.files.base import File
from django.core.files.storage import default_storage
from django.core.management import call_command
from django.db import connection
from django.db.migrations.loader import MigrationLoader

from portal.environment import read_environment
from portal.management.backups import contents, programs
from portal.management.backups.contents import Backup, BackupError
from portal.management.backups.making import FORMAT, fingerprint
from portal.management.backups.place import Place


@dataclass(frozen=True)
class Restored:
    """What was brought back; `notes` are what the operator has to look after."""

    files: int
    bytes: int
    seconds: float
    notes: tuple[str, ...]
    deleted_meanwhile: frozenset[str]
    """Files that the database speaks of, and that were deleted while the backup was made."""


def restore(place: Place, backup: Backup, *, with_other_key: bool = False) -> Restored:
    """Bring it back, whole or not at all: the database comes last, in one transaction.

    `with_other_key` goes on with another SECRET_KEY than the backup's. Raises BackupError before anything
    is written where something is damaged or in the way, and ProgramError.
    """
    began = time.monotonic()
    manifest = sound(place, backup)
    _require_room()
    _settle_secret_key(backup, manifest, with_other_key)
    files = size = 0
    for file in backup.files():
        with place.opened(file.sha256) as source:
            stored = default_storage.save(file.name, File(source))
        if stored != file.name:
            raise BackupError(f"The storage named {file.name} {stored}. Empty it and begin again.")
        files, size = files + 1, size + file.size
    programs.restore(backup.path / contents.DUMP)
    call_command("migrate", interactive=False, verbosity=0)
    cache.clear()  # what is remembered of another state of the site
    notes, deleted = tuple(_notes(manifest)), frozenset(manifest["deleted_meanwhile"])
    return Restored(files, size, time.monotonic() - began, notes, deleted)


def sound(place: Place, backup: Backup) -> dict[str, Any]:
    """The manifest of a backup that can be brought back here. Reads all of it. Raises BackupError."""
    if damages := list(backup.damages(place.opened)):
        raise BackupError("\n".join([*damages, "The backup is damaged, so nothing was restored."]))
    manifest = backup.manifest()
    if manifest.get("format") != FORMAT:
        raise BackupError(f"The backup has format {manifest.get('format')}; this version reads {FORMAT}.")
    known = {f"{app}.{name}" for app, name in MigrationLoader(None).disk_migrations}
    if newer := sorted(set(manifest["migrations"]) - known):
        raise BackupError(
            f"The backup is of version {manifest['version']}, whose database has changes that this version "
            f"does not know ({newer[0]}). Restore it with that version or a later one."
        )
    return manifest


def _require_room() -> None:
    if tables := connection.introspection.table_names():
        raise BackupError(f"The database has {len(tables)} tables. Restore into an empty one.")
    try:
        inside = [name for names in default_storage.listdir("") for name in names]
    except FileNotFoundError:
        return
    if inside:
        raise BackupError(f"The storage is not empty: it has {inside[0]}. Restore into an empty one.")


def _settle_secret_key(backup: Backup, manifest: dict[str, Any], with_other_key: bool) -> None:
    """Put the backup's key where the site looks for it, unless it has the same one already."""
    kept = backup.path / contents.SECRET_KEY
    here = settings.VAR_DIR / "secret_key"
    if kept.is_file() and not read_environment().secret_key and not here.exists() and not with_other_key:
        here.parent.mkdir(parents=True, exist_ok=True)
        contents.write_private(here, [kept.read_bytes()])
    if fingerprint(settings.SECRET_KEY) == manifest["secret_key"]["fingerprint"] or with_other_key:
        return
    where = (
        f"It is in {backup.shown}/{contents.SECRET_KEY}."
        if kept.is_file()
        else "It was in the environment of the old site."
    )
    raise BackupError(
        f"SECRET_KEY is not the one of the backup. {where} Without it the log's signing key, webhooks' "
        "secrets, second factors and sessions are lost; --with-other-key goes on all the same."
    )


def _notes(manifest: dict[str, Any]) -> Iterator[str]:
    for name, before in manifest["settings"].items():
        value = getattr(settings, name)
        now = value if isinstance(value, str) else ",".join(map(str, value))
        if now != before:
            yield f"{name} was {before} and is {now}: set it as it was"
    for what, why in (("missing", "was missing in storage"), ("deleted_meanwhile", "was deleted")):
        for name in manifest[what]:
            yield f"{name} {why} when the backup was made, so it is not here"
    if manifest["unfinished_uploads"]:
        yield f"{manifest['unfinished_uploads']} uploads were under way: their users have to begin them again"
    if fingerprint(settings.SECRET_KEY) != manifest["secret_key"]["fingerprint"]:
        yield (
            "SECRET_KEY is another one: run `manage.py rotate_signing_key`, and have users set their "
            "webhooks and second factors anew"
        )
