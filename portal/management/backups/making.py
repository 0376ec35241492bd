"""Makes a backup while the site runs: one snapshot of the database says what belongs to it."""

from __future__ import annotations

import hmac
import json
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from django.apps import apps
from django.conf import settings
from django.core.files.storage import default_storage
from django.db import connection, transaction
from django.db.migrations.recorder import MigrationRecorder

from portal.environment import read_environment
from portal.management.backups import contents, programs
from portal.management.backups.contents import StoredFile
from portal.management.backups.place import Place
from portal.management.backups.references import Reference, all_references, referenced, unfinished_uploads
from portal.transparency import reading

FORMAT = 1
LAST = "last-backup.json"


@dataclass(frozen=True)
class Made:
    """A backup that was just made, `shown` as where it is; `new_bytes` were not there before, `with_key` says
    whether the key is in it, `problems` are for the operator."""

    shown: str
    files: int
    bytes: int
    new_files: int
    new_bytes: int
    with_key: bool
    problems: tuple[str, ...]
    seconds: float


@dataclass
class _Copied:
    """What became of the stored files so far."""

    files: int = 0
    bytes: int = 0
    new_files: int = 0
    new_bytes: int = 0
    absent: list[str] = field(default_factory=list)
    damaged: list[str] = field(default_factory=list)


def make(place: Place) -> Made:
    """Back up database, stored files and key to a place. Raises BackupError, ProgramError, OSError."""
    began = time.monotonic()
    moment = datetime.now(UTC)
    with ExitStack() as stack:
        stack.enter_context(place.locked())
        earlier = place.names()
        known = stack.enter_context(place.read(earlier[-1], contents.LIST)).files() if earlier else iter(())
        draft = stack.enter_context(place.begin(moment))
        with _snapshot() as snapshot:
            programs.dump(draft / contents.DUMP, snapshot)
            manifest = _manifest(moment)
            copied = _Copied()
            contents.write_private(draft / contents.LIST, _lines(place, known, copied))
        manifest |= _of_files(copied) | _keep_secret_key(draft)
        contents.write_private(draft / contents.MANIFEST, [json.dumps(manifest, indent=1).encode()])
        backup = place.complete(draft, moment)
        made = Made(
            backup.shown,
            copied.files,
            copied.bytes,
            copied.new_files,
            copied.new_bytes,
            manifest["secret_key"]["kept_in"] == contents.SECRET_KEY,
            tuple(_problems(manifest)),
            time.monotonic() - began,
        )
    _remember(made, moment)
    return made


def fingerprint(secret_key: str) -> str:
    """By which a SECRET_KEY is known again; it tells nothing of it."""
    return hmac.digest(secret_key.encode(), b"fingerprint in a backup", "sha256").hex()[:32]


@contextmanager
def _snapshot() -> Iterator[str]:
    """The state of the database at this moment, for this process's queries and by its name for others."""
    with transaction.atomic(durable=True), connection.cursor() as cursor:
        cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        cursor.execute("SELECT pg_export_snapshot()")
        yield cursor.fetchone()[0]


def _lines(place: Place, known: Iterator[StoredFile], copied: _Copied) -> Iterator[bytes]:
    """The list of files, each of which is among the shared ones when its line comes."""
    before = next(known, None)
    for reference in all_references():
        while before is not None and before.name < reference.name:
            before = next(known, None)
        last = before if before is not None and before.name == reference.name else None
        found = _kept(place, reference, last)
        if found is None:
            copied.absent.append(reference.name)
            continue
        file, new = found
        if reference.sha256 and file.sha256 != reference.sha256:
            copied.damaged.append(reference.name)
        copied.files += 1
        copied.bytes += file.size
        copied.new_files += new > 0
        copied.new_bytes += new
        yield file.line()


def _kept(place: Place, reference: Reference, last: StoredFile | None) -> tuple[StoredFile, int] | None:
    """The file, copied unless the place has it already, and the bytes that were new; None if it is gone.

    Storage never changes a file under its name; one that the last backup has under the same name, size and
    time is not read again.
    """
    name = reference.name
    if not default_storage.exists(name):
        return None
    try:
        size = default_storage.size(name)
        modified = default_storage.get_modified_time(name).isoformat()
        digest = last.sha256 if last and (last.size, last.modified) == (size, modified) else reference.sha256
        if digest and place.has(digest, size):
            return StoredFile(name, digest, size, modified), 0
        with default_storage.open(name, "rb") as source:
            digest, size, new = place.copy_in(source)
    except FileNotFoundError:
        return None
    return StoredFile(name, digest, size, modified), new


def _manifest(moment: datetime) -> dict[str, Any]:
    """What is known inside the snapshot."""
    with connection.cursor() as cursor:
        cursor.execute("SHOW server_version")
        server = cursor.fetchone()[0]
    head = reading.current_head()
    return {
        "format": FORMAT,
        "made_at": moment.isoformat(timespec="seconds"),
        "version": version("flowertune-leaderboard"),
        "postgresql": server,
        "migrations": sorted(
            f"{app}.{name}" for app, name in MigrationRecorder(connection).applied_migrations()
        ),
        "rows": {
            model._meta.label: model._base_manager.count()
            for model in apps.get_models()
            if model._meta.managed and not model._meta.proxy
        },
        "log_head": head.envelope if head else None,
        "unfinished_uploads": unfinished_uploads(),
        "settings": {
            "SITE_URL": settings.SITE_URL,
            "LEADERBOARD_PROTOCOLS": ",".join(map(str, settings.LEADERBOARD_PROTOCOLS)),
        },
    }


def _of_files(copied: _Copied) -> dict[str, Any]:
    """Files that were spoken of in the snapshot and not there: those whose rows went too were deleted
    meanwhile, as a draft is; the others were lost before."""
    still = referenced(copied.absent)
    return {
        "files": copied.files,
        "bytes": copied.bytes,
        "deleted_meanwhile": [name for name in copied.absent if name not in still],
        "missing": [name for name in copied.absent if name in still],
        "damaged": copied.damaged,
    }


def _keep_secret_key(draft: Path) -> dict[str, Any]:
    given = read_environment().secret_key
    if not given:
        contents.write_private(draft / contents.SECRET_KEY, [settings.SECRET_KEY.encode()])
    return {
        "secret_key": {
            "kept_in": "environment" if given else contents.SECRET_KEY,
            "fingerprint": fingerprint(settings.SECRET_KEY),
        }
    }


def _problems(manifest: dict[str, Any]) -> Iterator[str]:
    for name in manifest["missing"]:
        yield f"{name} is missing in storage, so the backup has no copy of it"
    for name in manifest["damaged"]:
        yield f"{name} is damaged in storage: the backup has it as it is there"


def _remember(made: Made, moment: datetime) -> None:
    """For whoever looks after the site: when the last backup was made, and of what."""
    told = {
        "made_at": moment.isoformat(timespec="seconds"),
        "path": made.shown,
        "files": made.files,
        "bytes": made.bytes,
        "new_bytes": made.new_bytes,
        "problems": len(made.problems),
        "seconds": round(made.seconds, 1),
    }
    draft = settings.VAR_DIR / f"{LAST}.part"
    settings.VAR_DIR.mkdir(parents=True, exist_ok=True)
    contents.write_private(draft, [json.dumps(told).encode()])
    draft.rename(settings.VAR_DIR / LAST)


def last_backup() -> dict[str, Any] | None:
    """What is remembered of the last backup; None where none was made here."""
    try:
        read: dict[str, Any] = json.loads((settings.VAR_DIR / LAST).read_bytes())
    except FileNotFoundError:
        return None
    return read
