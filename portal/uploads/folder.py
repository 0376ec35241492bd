"""Uploads into a local folder."""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from django.core.files.storage import FileSystemStorage

from portal.uploads.errors import UploadError
from portal.uploads.models import Upload
from portal.uploads.store import READ_BYTES, Position, Store, Writer, storage_full


class FolderStore(Store):
    """A local folder: one file an upload, appended to and never copied."""

    def __init__(self, storage: FileSystemStorage) -> None:
        self._storage = storage

    def _path(self, upload: Upload) -> Path:
        return Path(self._storage.path(upload.file))

    def create(self, upload: Upload) -> None:
        path = self._path(upload)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch(exist_ok=False)
        except OSError as error:
            raise _full(error) from error

    def writer(self, upload: Upload) -> Writer:
        return _FileWriter(self._path(upload))

    def read(self, upload: Upload) -> Iterator[bytes]:
        with self._path(upload).open("rb") as file:
            while data := file.read(READ_BYTES):
                yield data

    def tidy(self, upload: Upload) -> None:
        """There is nothing else: the file was written in place."""

    def delete(self, upload: Upload) -> None:
        self._storage.delete(upload.file)

    def delete_leftovers(self, known: set[str]) -> None:
        """There are none: a file is made after its row and deleted before it."""


class _FileWriter(Writer):
    """The lock on the open file makes it the only writer; the system releases it if the process dies."""

    def __init__(self, path: Path) -> None:
        try:
            # Not created here: a file that was deleted meanwhile must not come back.
            self._file = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
        except FileNotFoundError as error:
            raise UploadError("upload.gone", "The upload's bytes are gone. Start it again.") from error
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            os.close(self._file)
            raise UploadError(
                "upload.busy", "Another request is sending to this upload. Try again.", retry_after=1
            ) from error

    def begin(self, offset: int, position: Position) -> None:
        if os.fstat(self._file).st_size < offset:  # the machine lost power, or somebody touched the file
            raise UploadError("upload.gone", "Bytes of this upload were lost in storage. Start it again.")
        os.ftruncate(self._file, offset)
        os.lseek(self._file, offset, os.SEEK_SET)

    def write(self, data: bytes) -> None:
        view = memoryview(data)
        try:
            while view:
                view = view[os.write(self._file, view) :]
        except OSError as error:
            raise _full(error) from error

    def save(self) -> Position:
        self.finish()
        return {}

    def finish(self) -> None:
        try:
            os.fdatasync(self._file)
        except OSError as error:
            raise _full(error) from error

    def close(self) -> None:
        os.close(self._file)


def _full(error: OSError) -> Exception:
    """What a full disk means to the client; any other error stays what it is."""
    return storage_full() if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG) else error
