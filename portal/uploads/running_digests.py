"""SHA-256 sums of uploads that are on their way, kept in this process between two requests.

Beside that of the whole file there is one of each piece of it, so that a client can prove that what is stored
so far is the beginning of the file it has, and that all of it is in the end.

Python cannot store the state of a hash, so the sums are lost with their process, or when another process
serves the next request. Then the finished file is read once more and hashed as a whole: one more pass at the
worst, however often the upload was broken off. (Hashing the beginning anew at every request would cost a pass
each.)
"""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from uuid import UUID

PIECE_BYTES = 4 * 1024**2
DIGEST_BYTES = 32
KEPT = 256

_lock = threading.Lock()
_sums: OrderedDict[UUID, tuple[int, Digests]] = OrderedDict()


class Digests:
    """The sums of what `update` was given from a file's first byte on."""

    def __init__(self) -> None:
        self._whole, self._piece = hashlib.sha256(), hashlib.sha256()
        self._filled = 0
        self._finished = b""

    def update(self, data: bytes) -> None:
        self._whole.update(data)
        rest = memoryview(data)
        while rest:
            part = rest[: PIECE_BYTES - self._filled]
            self._piece.update(part)
            self._filled += len(part)
            rest = rest[len(part) :]
            if self._filled == PIECE_BYTES:
                self._finished, self._piece, self._filled = self.pieces, hashlib.sha256(), 0

    def copy(self) -> Digests:
        other = Digests()
        other._whole, other._piece = self._whole.copy(), self._piece.copy()
        other._filled, other._finished = self._filled, self._finished
        return other

    @property
    def sha256(self) -> str:
        """Of all bytes, in hexadecimal digits."""
        return self._whole.hexdigest()

    @property
    def pieces(self) -> bytes:
        """The digests of all pieces of PIECE_BYTES, and of a shorter last one: DIGEST_BYTES each."""
        return self._finished + (self._piece.digest() if self._filled else b"")


def take(upload: UUID, offset: int) -> Digests | None:
    """Return the sums of the first `offset` bytes, the caller's from now on, or None if they are lost."""
    with _lock:
        known = _sums.pop(upload, None)
    if offset == 0:
        return Digests()
    return known[1] if known and known[0] == offset else None


def keep(upload: UUID, offset: int, running: Digests) -> None:
    """Keep the sums of the first `offset` bytes for the next request."""
    with _lock:
        _sums[upload] = (offset, running)
        while len(_sums) > KEPT:
            _sums.popitem(last=False)


def forget(upload: UUID) -> None:
    with _lock:
        _sums.pop(upload, None)
