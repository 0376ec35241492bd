"""A folder of backups: what lies where, how a backup becomes one, and how a damaged one is known.

    files/ab/abcd…        stored files under their SHA-256, shared by all backups
    2026-01-31T020000Z/   a backup: database.dump, files.jsonl, manifest.json, SHA256SUMS, perhaps secret_key
    2026-…Z.part/         one that is being made, or was broken off; the next one removes it
    lock                  held while a backup is made

A backup has its name once all of it is on the disk. `sha256sum --check SHA256SUMS` works inside it.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from django.core.files.base import File

_NAME = re.compile(r"\d{4}-\d\d-\d\dT\d{6}Z")
_PIECE = 1024**2
DUMP, LIST, MANIFEST, SECRET_KEY, SUMS = (
    "database.dump",
    "files.jsonl",
    "manifest.json",
    "secret_key",
    "SHA256SUMS",
)


class BackupError(Exception):
    """A backup cannot be made or brought back; the text says why."""


@dataclass(frozen=True)
class StoredFile:
    """A line of files.jsonl; `modified` is the time that the site's storage gives."""

    name: str
    sha256: str
    size: int
    modified: str


@dataclass(frozen=True)
class Backup:
    """A whole one. Nothing is said of whether it is damaged; `damages` does."""

    path: Path

    def manifest(self) -> dict[str, Any]:
        """Raises BackupError."""
        try:
            read = json.loads((self.path / MANIFEST).read_bytes())
        except (OSError, ValueError) as error:
            raise BackupError(f"{self.path / MANIFEST} cannot be read: {error}") from error
        if not isinstance(read, dict):
            raise BackupError(f"{self.path / MANIFEST} is not a manifest")
        return read

    def files(self) -> Iterator[StoredFile]:
        """In the order of their names. Raises BackupError."""
        try:
            with (self.path / LIST).open("rb") as lines:
                for line in lines:
                    yield StoredFile(**json.loads(line))
        except (OSError, ValueError, TypeError) as error:
            raise BackupError(f"{self.path / LIST} cannot be read: {error}") from error

    def damages(self) -> Iterator[str]:
        """What is not as it was written, in sentences. Reads every byte of it."""
        try:
            sums = (self.path / SUMS).read_text()
        except (OSError, ValueError) as error:
            yield f"{self.path / SUMS} cannot be read: {error}"
            return
        stated = dict(line.split("  ", 1)[::-1] for line in sums.splitlines() if "  " in line)
        sound = True
        for name in dict.fromkeys((DUMP, LIST, MANIFEST, *stated)):
            if (problem := _damage(self.path / name, stated.get(name, ""))) is not None:
                sound = False
                yield problem
        if sound:  # else the list itself cannot be believed
            for file in self.files():
                if (problem := _damage(pooled(self.path.parent, file.sha256), file.sha256)) is not None:
                    yield f"{problem} (stored as {file.name})"


def pooled(root: Path, sha256: str) -> Path:
    """Where a stored file with this digest lies."""
    return root / "files" / sha256[:2] / sha256


def backups(root: Path) -> list[Backup]:
    """The whole ones, oldest first."""
    found = sorted(root.iterdir()) if root.is_dir() else []
    return [Backup(path) for path in found if _NAME.fullmatch(path.name) and (path / SUMS).is_file()]


def chosen(root: Path, name: str = "") -> Backup:
    """The backup of that name, by default the newest. Raises BackupError."""
    found = backups(root)
    if not found:
        raise BackupError(f"There is no backup in {root}.")
    for backup in found:
        if backup.path.name == name:
            return backup
    if name:
        raise BackupError(f"{root} has no backup {name}; it has {', '.join(b.path.name for b in found)}.")
    return found[-1]


@contextmanager
def locked(root: Path) -> Iterator[None]:
    """Be the only one who writes there; what broken-off backups left is removed. Raises BackupError."""
    try:
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
        (root / "files").mkdir(mode=0o700, exist_ok=True)
        lock = os.open(root / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise BackupError(f"{root} cannot be written to: {error}") from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        for left in [*root.glob("*.part"), *root.glob("files/*.part")]:
            shutil.rmtree(left) if left.is_dir() else left.unlink()
        yield
    except BlockingIOError as error:
        raise BackupError(f"Another backup to {root} is being made.") from error
    finally:
        os.close(lock)


def begin(root: Path, moment: datetime) -> Path:
    """Make the folder of a backup under its temporary name."""
    draft = root / f"{moment:%Y-%m-%dT%H%M%SZ}.part"
    draft.mkdir(mode=0o700)
    return draft


def complete(draft: Path) -> Backup:
    """Write the digests, bring all to the disk, and give the backup its name."""
    parts = sorted(path.name for path in draft.iterdir())
    sums = "".join(f"{digest_of(draft / name)}  {name}\n" for name in parts)
    write_private(draft / SUMS, [sums.encode()])
    for name in (*parts, SUMS):
        (draft / name).chmod(0o600)
        _flush(draft / name)
    _flush(draft)
    final = draft.with_suffix("")
    try:
        draft.rename(final)
    except OSError as error:
        raise BackupError(f"There is a backup {final} already; wait a second.") from error
    _flush(final.parent)
    return Backup(final)


def remove_but(root: Path, keep: int) -> list[str]:
    """Remove all but the newest so many backups, and the files that only they had; return their names."""
    old = backups(root)[:-keep]
    for backup in old:
        # Under another name first: what is half removed must not look whole.
        shutil.rmtree(backup.path.rename(backup.path.with_suffix(".part")))
    if old:
        needed = {bytes.fromhex(file.sha256) for backup in backups(root) for file in backup.files()}
        for path in root.glob("files/*/*"):
            if bytes.fromhex(path.name) not in needed:
                path.unlink()
    return [backup.path.name for backup in old]


def copy_in(root: Path, source: File[Any]) -> tuple[str, int, int]:
    """Put a stored file among the shared ones; return its SHA-256, its size and the bytes that were new."""
    draft = root / "files" / f"{os.getpid()}.part"
    digest, size = hashlib.sha256(), 0

    def pieces() -> Iterator[bytes]:
        nonlocal size
        while piece := source.read(_PIECE):
            digest.update(piece)
            size += len(piece)
            yield piece

    try:
        write_private(draft, pieces())
        final = pooled(root, digest.hexdigest())
        is_new = not has(root, digest.hexdigest(), size)
        if is_new:
            final.parent.mkdir(mode=0o700, exist_ok=True)
            draft.rename(final)
            _flush(final.parent)
    finally:
        draft.unlink(missing_ok=True)
    return digest.hexdigest(), size, size if is_new else 0


def has(root: Path, sha256: str, size: int) -> bool:
    try:
        return pooled(root, sha256).stat().st_size == size
    except FileNotFoundError:
        return False


def line_of(file: StoredFile) -> bytes:
    return json.dumps(asdict(file), ensure_ascii=False).encode() + b"\n"


def write_private(path: Path, pieces: Iterable[bytes]) -> None:
    """Write a file that only its owner may read, to the disk."""
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        for piece in pieces:
            file.write(piece)
        file.flush()
        os.fsync(file.fileno())


def digest_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _damage(path: Path, sha256: str) -> str | None:
    try:
        return None if digest_of(path) == sha256 else f"{path} is damaged: its SHA-256 is another one"
    except OSError as error:
        return f"{path} cannot be read: {error.strerror}"


def _flush(path: Path) -> None:
    opened = os.open(path, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)
