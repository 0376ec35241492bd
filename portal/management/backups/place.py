"""Where backups are kept: what makes and restores them asks a place for everything."""

from __future__ import annotations

from abc import ABC, abstractmethod
from contextlib import AbstractContextManager
from datetime import datetime
from pathlib import Path
from typing import IO

from portal.management.backups.contents import Backup, BackupError


class Place(ABC):
    """A folder or a bucket with backups and the stored files that they share. `str` shows it to people.

    Whatever touches it raises BackupError or OSError where it cannot.
    """

    @abstractmethod
    def locked(self) -> AbstractContextManager[None]:
        """Be the only one who writes there; what broken-off backups left is removed."""

    @abstractmethod
    def names(self) -> list[str]:
        """The whole backups, oldest first."""

    @abstractmethod
    def read(self, name: str, *parts: str) -> AbstractContextManager[Backup]:
        """A whole backup, with at least these of its parts on this machine, all where none is named."""

    @abstractmethod
    def begin(self, moment: datetime) -> AbstractContextManager[Path]:
        """The empty folder for the parts of a backup under way."""

    @abstractmethod
    def complete(self, draft: Path, moment: datetime) -> Backup:
        """Write the digests, and make of the parts a backup with its name."""

    @abstractmethod
    def has(self, sha256: str, size: int) -> bool:
        """Whether a stored file of this digest and size is there."""

    @abstractmethod
    def copy_in(self, source: IO[bytes]) -> tuple[str, int, int]:
        """Keep a stored file; return its SHA-256, its size and the bytes that were new."""

    @abstractmethod
    def opened(self, sha256: str) -> IO[bytes]:
        """A stored file that was kept, to read."""

    @abstractmethod
    def remove_but(self, keep: int) -> list[str]:
        """Remove all but the newest so many backups, and the files that only they had; return their names."""

    def chosen(self, name: str = "") -> str:
        """The backup of that name, by default the newest. Raises BackupError."""
        found = self.names()
        if not found:
            raise BackupError(f"There is no backup in {self}.")
        if name and name not in found:
            raise BackupError(f"{self} has no backup {name}; it has {', '.join(found)}.")
        return name or found[-1]
