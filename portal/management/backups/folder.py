"""A folder of backups, which `rsync` and a person can read.

    files/ab/abcd…        stored files under their SHA-256, shared by all backups
    2026-01-31T020000Z/   a backup
    2026-…Z.part/         one that is being made, or was broken off; the next one removes it
    lock                  held while a backup is made

A backup has its name once all of it is on the disk.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import IO

from portal.management.backups import contents
from portal.management.backups.contents import NAME, SUMS, Backup, BackupError
from portal.management.backups.place import Place

_PIECE = 1024**2


@dataclass(frozen=True)
class Folder(Place):
    """Backups on a disk of this machine."""

    root: Path

    def __str__(self) -> str:
        return str(self.root)

    @contextmanager
    def locked(self) -> Iterator[None]:
        root = self.root
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

    def names(self) -> list[str]:
        found = sorted(self.root.iterdir()) if self.root.is_dir() else []
        return [path.name for path in found if NAME.fullmatch(path.name) and (path / SUMS).is_file()]

    @contextmanager
    def read(self, name: str, *parts: str) -> Iterator[Backup]:
        yield self._backup(name)

    @contextmanager
    def begin(self, moment: datetime) -> Iterator[Path]:
        draft = self.root / f"{contents.name_of(moment)}.part"
        draft.mkdir(mode=0o700)
        yield draft  # left where it was broken off: the next backup removes it

    def complete(self, draft: Path, moment: datetime) -> Backup:
        for name in contents.write_sums(draft):
            (draft / name).chmod(0o600)
            _flush(draft / name)
        _flush(draft)
        final = self.root / contents.name_of(moment)
        try:
            draft.rename(final)
        except OSError as error:
            raise BackupError(f"There is a backup {final} already; wait a second.") from error
        _flush(self.root)
        return self._backup(final.name)

    def has(self, sha256: str, size: int) -> bool:
        try:
            return self._kept(sha256).stat().st_size == size
        except FileNotFoundError:
            return False

    def copy_in(self, source: IO[bytes]) -> tuple[str, int, int]:
        draft = self.root / "files" / f"{os.getpid()}.part"
        digest, size = hashlib.sha256(), 0

        def pieces() -> Iterator[bytes]:
            nonlocal size
            while piece := source.read(_PIECE):
                digest.update(piece)
                size += len(piece)
                yield piece

        try:
            contents.write_private(draft, pieces())
            final = self._kept(digest.hexdigest())
            is_new = not self.has(digest.hexdigest(), size)
            if is_new:
                final.parent.mkdir(mode=0o700, exist_ok=True)
                draft.rename(final)
                _flush(final.parent)
        finally:
            draft.unlink(missing_ok=True)
        return digest.hexdigest(), size, size if is_new else 0

    def opened(self, sha256: str) -> IO[bytes]:
        return self._kept(sha256).open("rb")

    def remove_but(self, keep: int) -> list[str]:
        old = self.names()[:-keep]
        for name in old:
            path = self.root / name
            # Under another name first: what is half removed must not look whole.
            shutil.rmtree(path.rename(path.with_suffix(".part")))
        if old:
            left = map(self._backup, self.names())
            needed = {bytes.fromhex(file.sha256) for backup in left for file in backup.files()}
            for path in self.root.glob("files/*/*"):
                if bytes.fromhex(path.name) not in needed:
                    path.unlink()
        return old

    def _backup(self, name: str) -> Backup:
        return Backup(name, self.root / name, str(self.root / name))

    def _kept(self, sha256: str) -> Path:
        return self.root / "files" / sha256[:2] / sha256


def _flush(path: Path) -> None:
    opened = os.open(path, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)
