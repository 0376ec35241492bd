"""How many requests of this process may send uploads at a time: the other threads are for everybody else."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from django.conf import settings

from portal.uploads.errors import UploadError

_lock = threading.Lock()
_held: Counter[int] = Counter()


@contextmanager
def slot(user_id: int) -> Iterator[None]:
    """Hold one of UPLOAD_STREAMS slots; one user gets half of them. Raises UploadError `upload.no_slot`."""
    limit = settings.UPLOAD_STREAMS
    with _lock:
        if _held.total() >= limit or _held[user_id] >= max(1, limit // 2):
            raise UploadError(
                "upload.no_slot", "Too many uploads are running at this moment. Try again.", retry_after=2
            )
        _held[user_id] += 1
    try:
        yield
    finally:
        with _lock:
            _held[user_id] -= 1
            if not _held[user_id]:
                del _held[user_id]


def held() -> int:
    """How many there are at this moment."""
    with _lock:
        return _held.total()
