"""A folder as the site's storage: a file gets its name once all of it is on the disk, or never."""

from __future__ import annotations

import os
import uuid
from pathlib import Path

from django.core.files.base import File
from django.core.files.storage import FileSystemStorage

from portal.outages.causes import storage_access


class WholeFileStorage(FileSystemStorage):
    """Django's, which leaves the beginning of a file behind where the disk is full."""

    def _save(self, name: str, content: File[bytes]) -> str:
        """Raises StorageError."""
        with storage_access():
            draft = Path(self.path(f"{name}.{uuid.uuid4().hex}.part"))
            try:
                super()._save(f"{name}{draft.name.removeprefix(Path(name).name)}", content)  # type: ignore[misc]  # not in the stubs
                with draft.open("rb") as file:
                    os.fsync(file.fileno())
                return self._named(draft, name)
            finally:
                draft.unlink(missing_ok=True)

    def _named(self, draft: Path, name: str) -> str:
        """Give a whole file its name, or another where somebody was faster; returns it."""
        while True:
            try:
                Path(self.path(name)).hardlink_to(draft)
            except FileExistsError:
                name = self.get_available_name(name)
            else:
                return name.replace("\\", "/")
