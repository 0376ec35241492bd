"""Turns on GPUs: told between the processes of a machine by file locks, which end with who holds them."""

from __future__ import annotations

import fcntl
import os
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType


@dataclass(frozen=True)
class Holder:
    """Who has a turn, in its own words, and for how many seconds."""

    name: str
    seconds: float


class Turn:
    """The right to fill the memory of some GPUs, and the wish for it.

    Whoever has enough of the memory free needs no turn. Who waits says so by `want`, and who works looks at
    `is_wanted` where it can stop. Locks are the kernel's: a process that is killed holds none.
    """

    def __init__(self, gpus: Sequence[str], folder: Path | None = None) -> None:
        # Sorted, so that all take the locks of several GPUs in one order.
        self._gpus = sorted(gpus)
        self._folder = folder or Path(tempfile.gettempdir()) / f"flowertune-gpus-{os.getuid()}"
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._taken: list[int] = []
        self._wanting: list[int] = []

    @property
    def is_taken(self) -> bool:
        """Whether this one has it."""
        return bool(self._taken)

    def take(self, holder: str) -> bool:
        """Take the turn unless another has it on one of the GPUs; `holder` is what others read of it."""
        if self._taken:
            return True
        locks = []
        for gpu in self._gpus:
            lock = self._open(gpu, "turn")
            locks.append(lock)
            if not _locked(lock, fcntl.LOCK_EX):
                _close(locks)
                return False
        for lock in locks:
            os.ftruncate(lock, 0)
            os.pwrite(lock, holder.encode(), 0)
        self._taken = locks
        return True

    def give(self) -> None:
        """Let others have the turn. Idempotent."""
        _close(self._taken)
        self._taken = []

    def holder(self) -> Holder | None:
        """Who has the turn now; None where nobody has."""
        for gpu in self._gpus:
            lock = self._open(gpu, "turn")
            is_free = _locked(lock, fcntl.LOCK_EX)
            name = os.pread(lock, 200, 0).decode("utf-8", "replace")
            since = os.fstat(lock).st_mtime
            os.close(lock)
            if not is_free:
                return Holder(name, max(0.0, time.time() - since))
        return None

    def want(self) -> None:
        """Say that somebody waits, until `waits_no_more`. Idempotent."""
        if not self._wanting:
            self._wanting = [self._open(gpu, "wanted") for gpu in self._gpus]
            for lock in self._wanting:
                fcntl.flock(lock, fcntl.LOCK_SH)  # others hold it the other way for a moment only

    def waits_no_more(self) -> None:
        _close(self._wanting)
        self._wanting = []

    def is_wanted(self) -> bool:
        """Whether another waits for one of the GPUs."""
        locks = [self._open(gpu, "wanted") for gpu in self._gpus]
        wanted = not all(_locked(lock, fcntl.LOCK_EX) for lock in locks)
        _close(locks)
        return wanted

    def __enter__(self) -> Turn:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self.waits_no_more()
        self.give()

    def _open(self, gpu: str, what: str) -> int:
        return os.open(self._folder / f"{gpu}.{what}", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)


def _locked(lock: int, kind: int) -> bool:
    with suppress(BlockingIOError):
        fcntl.flock(lock, kind | fcntl.LOCK_NB)
        return True
    return False


def _close(locks: Sequence[int]) -> None:
    for lock in locks:
        os.close(lock)
