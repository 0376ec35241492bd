"""Mail of a site without a mail server: files that only the site's own user may read.

They hold links that confirm addresses and reset passwords.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.core.mail.backends.filebased import EmailBackend

_FOLDER, _FILE = 0o700, 0o600


class PrivateFolder(EmailBackend):
    """Django's backend, whose folder and files have the modes that the process's umask gives."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # Also one that an earlier version made.
        Path(self.file_path).chmod(_FOLDER)

    def _get_filename(self) -> str:
        """The file is there before the backend opens it, with its mode."""
        name = str(super()._get_filename())  # type: ignore[misc]  # the stubs leave it out
        Path(name).touch(mode=_FILE)
        return name
