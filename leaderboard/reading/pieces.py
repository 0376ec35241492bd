"""A file that is only written, whose content is taken away as it comes: what is streamed to a reader."""

from __future__ import annotations

from typing import Any


class Pieces:
    """As `pyarrow` and `zipfile` write it."""

    closed = False

    def __init__(self) -> None:
        self._pieces: list[bytes] = []
        self._written = 0

    def write(self, piece: Any) -> int:
        content = bytes(piece)
        self._pieces.append(content)
        self._written += len(content)
        return len(content)

    def tell(self) -> int:
        return self._written

    def writable(self) -> bool:
        return True

    def readable(self) -> bool:
        return False

    def seekable(self) -> bool:
        return False

    def flush(self) -> None:
        """Nothing is held back."""

    def close(self) -> None:
        self.closed = True

    def taken(self) -> bytes:
        content, self._pieces = b"".join(self._pieces), []
        return content
