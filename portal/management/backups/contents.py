"""What a backup is made of, and how a damaged one is known.

Beside the stored files, which all backups of a place share under their SHA-256, it has a folder of parts:
database.dump, files.jsonl, manifest.json, perhaps secret_key, and their digests in SHA256SUMS, which is
written last. `sha256sum --check SHA256SUMS` works there.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import IO, Any

_PIECE = 1024**2
NAME = re.compile(r"\d{4}-\d\d-\d\dT\d{6}Z")
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

    def line(self) -> bytes:
        return json.dumps(asdict(self), ensure_ascii=False).encode() + b"\n"


@dataclass(frozen=True)
class Backup:
    """A whole one: its parts are in the folder `path`, and `shown` says to people where it is.

    Nothing is said of whether it is damaged; `damages` does.
    """

    name: str
    path: Path
    shown: str

    def manifest(self) -> dict[str, Any]:
        """Raises BackupError."""
        try:
            read = json.loads((self.path / MANIFEST).read_bytes())
        except (OSError, ValueError) as error:
            raise BackupError(f"{self.shown}/{MANIFEST} cannot be read: {error}") from error
        if not isinstance(read, dict):
            raise BackupError(f"{self.shown}/{MANIFEST} is not a manifest")
        return read

    def files(self) -> Iterator[StoredFile]:
        """In the order of their names. Raises BackupError."""
        try:
            with (self.path / LIST).open("rb") as lines:
                for line in lines:
                    yield StoredFile(**json.loads(line))
        except (OSError, ValueError, TypeError) as error:
            raise BackupError(f"{self.shown}/{LIST} cannot be read: {error}") from error

    def damages(self, opened: Callable[[str], IO[bytes]]) -> Iterator[str]:
        """What is not as it was written, in sentences. Reads every byte of it; `opened` opens a stored file
        by its SHA-256, as its place does."""
        try:
            sums = (self.path / SUMS).read_text()
        except (OSError, ValueError) as error:
            yield f"{self.shown}/{SUMS} cannot be read: {error}"
            return
        stated = dict(line.split("  ", 1)[::-1] for line in sums.splitlines() if "  " in line)
        sound = True
        for name in dict.fromkeys((DUMP, LIST, MANIFEST, *stated)):
            problem = _damage(lambda name=name: (self.path / name).open("rb"), stated.get(name, ""))  # type: ignore[misc]
            if problem:
                sound = False
                yield f"{self.shown}/{name} {problem}"
        if sound:  # else the list itself cannot be believed
            for file in self.files():
                if problem := _damage(lambda file=file: opened(file.sha256), file.sha256):  # type: ignore[misc]
                    yield f"The stored file {file.sha256} {problem} (stored as {file.name})"


def name_of(moment: datetime) -> str:
    """What a backup that was begun at this moment is called."""
    return f"{moment:%Y-%m-%dT%H%M%SZ}"


def write_sums(draft: Path) -> list[str]:
    """Write the digests of all parts in a folder; return the parts' names, the digests' last."""
    parts = sorted(path.name for path in draft.iterdir())
    sums = "".join(f"{digest_of(draft / name)}  {name}\n" for name in parts)
    write_private(draft / SUMS, [sums.encode()])
    return [*parts, SUMS]


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


def _damage(opened: Callable[[], IO[bytes]], sha256: str) -> str | None:
    try:
        digest = hashlib.sha256()
        with opened() as file:
            while piece := file.read(_PIECE):
                digest.update(piece)
    except OSError as error:
        return f"cannot be read: {error.strerror or error}"
    return None if digest.hexdigest() == sha256 else "is damaged: its SHA-256 is another one"
