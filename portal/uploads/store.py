"""Where the bytes of an upload go while they arrive: one interface for every storage.

What a writer has taken counts only once `save` has returned and the caller has recorded the offset with
the position that it gave. A writer that begins at a recorded offset drops whatever lies behind it, so a
server may be killed at any moment.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Any

from portal.uploads.errors import UploadError
from portal.uploads.models import Upload

READ_BYTES = 1024**2

Position = dict[str, Any]


class Writer(ABC):
    """Takes the bytes of one request."""

    @abstractmethod
    def begin(self, offset: int, position: Position) -> None:
        """Go to the recorded offset. Raises UploadError `upload.gone` where bytes before it are missing."""

    @abstractmethod
    def write(self, data: bytes) -> None:
        """Take the next bytes. Raises UploadError `upload.storage_full`."""

    @abstractmethod
    def save(self) -> Position:
        """Make what was written survive this process; return the position to record with the offset."""

    @abstractmethod
    def finish(self) -> None:
        """Make what was written the whole file under its name."""

    @abstractmethod
    def close(self) -> None:
        """Let go. What was written after the last `save` may be lost."""


class Store(ABC):
    """Storage that can take a file in pieces."""

    @abstractmethod
    def create(self, upload: Upload) -> None:
        """Prepare for the first byte."""

    @abstractmethod
    def writer(self, upload: Upload) -> Writer:
        """Open it for one request. Raises UploadError: `upload.busy` (another has it), `upload.gone`."""

    @abstractmethod
    def read(self, upload: Upload) -> Iterator[bytes]:
        """Yield the bytes of a finished file."""

    @abstractmethod
    def tidy(self, upload: Upload) -> None:
        """Delete everything of it but the finished file, once that is recorded."""

    @abstractmethod
    def delete(self, upload: Upload) -> None:
        """Delete every byte of it. Idempotent."""

    @abstractmethod
    def delete_leftovers(self, known: set[str]) -> None:
        """Delete beginnings that belong to none of the `known` names in storage."""


def storage_full() -> UploadError:
    return UploadError(
        "upload.storage_full", "The site's storage is full. Tell its operators.", retry_after=600
    )
