"""Pages that are the same for every reader who is not signed in: made once, then kept in this process."""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.utils.cache import get_conditional_response, patch_vary_headers

MOST_BYTES = 48 * 1024**2
"""What a process keeps in all."""
# Whoever has none of these is nobody that a page could know.
_COOKIES = (settings.SESSION_COOKIE_NAME, "messages")


@dataclass(frozen=True)
class Kept:
    """A page's bytes with the name of their content."""

    body: bytes
    etag: str


class Shelf:
    """The pages used last, up to a number of bytes. Threads may share it."""

    def __init__(self, most_bytes: int) -> None:
        self._most = most_bytes
        self._size = 0
        self._kept: OrderedDict[Hashable, Kept] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: Hashable) -> Kept | None:
        with self._lock:
            found = self._kept.get(key)
            if found is not None:
                self._kept.move_to_end(key)
            return found

    def put(self, key: Hashable, body: bytes) -> Kept:
        kept = Kept(body, f'"{hashlib.sha256(body).hexdigest()[:32]}"')
        with self._lock:
            earlier = self._kept.pop(key, None)
            self._size += len(body) - (len(earlier.body) if earlier else 0)
            self._kept[key] = kept
            while self._size > self._most:
                _, oldest = self._kept.popitem(last=False)
                self._size -= len(oldest.body)
        return kept


_shelf = Shelf(MOST_BYTES)


def shared(request: HttpRequest, key: Hashable, render: Callable[[], HttpResponse]) -> HttpResponse:
    """The page that `render` makes, with an ETag, and 304 to a reader who has it.

    `key` has to name everything that the page depends on but for its reader and host. It is rendered anew for
    readers who are signed in.
    """
    if any(name in request.COOKIES for name in _COOKIES):
        response = render()
        response["Cache-Control"] = "private, no-cache"
    else:
        whole = (request.scheme, request.get_host(), key)
        kept = _shelf.get(whole) or _shelf.put(whole, render().content)
        answer = get_conditional_response(request, etag=kept.etag)
        response = HttpResponse(kept.body) if answer is None else HttpResponse(status=answer.status_code)
        response["ETag"] = kept.etag
        response["Cache-Control"] = "public, no-cache"
    patch_vary_headers(response, ("Cookie",))
    return response


def fragment(key: Hashable, render: Callable[[], str]) -> str:
    """The part of a page that `render` makes, which is the same for all readers."""
    kept = _shelf.get(key) or _shelf.put(key, render().encode())
    return kept.body.decode()
