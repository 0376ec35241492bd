"""Who works on what a counter counts: told between the processes of a machine by locked files.

As many may be there as like. Each has a file, and who arrives writes into those of all others, so that each
learns of all whom it met. Locks are the kernel's: of a process that is killed only an unlocked file is left.
"""

from __future__ import annotations

import fcntl
import os
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path


class Presence:
    """This process's, in the folder of a counter."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock: int | None = None
        self._file = folder

    def arrive(self) -> None:
        """Be there for others, until `leave`."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._lock, hidden = tempfile.mkstemp(prefix=".", dir=self._folder)
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        self._file = self._folder / Path(hidden).name[1:]
        Path(hidden).rename(self._file)  # seen only now, so that nobody takes it for one left behind
        for other in self._others():
            os.write(other, b".")

    def leave(self) -> None:
        if self._lock is not None:
            self._file.unlink(missing_ok=True)
            fcntl.flock(self._lock, fcntl.LOCK_UN)
            os.close(self._lock)
            self._lock = None

    def is_alone(self) -> bool:
        """Whether nobody else is there; from now on `met` tells who came."""
        assert self._lock is not None
        os.ftruncate(self._lock, 0)
        return next(self._others(), None) is None

    def met(self) -> bool:
        """Whether anybody came since it was asked who is there."""
        assert self._lock is not None
        return os.fstat(self._lock).st_size > 0

    def _others(self) -> Iterator[int]:
        """Their files, each open while one looks at it; those left behind are removed."""
        for file in self._folder.iterdir():
            if file == self._file or file.name.startswith("."):
                continue
            with suppress(FileNotFoundError):  # it left
                other = os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
                try:
                    fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    file.unlink()
                except BlockingIOError:
                    yield other
                finally:
                    os.close(other)
