"""Pages that are the same for every reader who is not signed in: made once, then kept in this process."""

from __future__ import annotations

import gzip
import hashlib
import re
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.utils.cache import get_conditional_response, patch_vary_headers

from portal import pace
from portal.control import maintenance

MOST_BYTES = 32 * 1024**2
"""What a process keeps of what most readers ask for."""
MOST_RARE_BYTES = 16 * 1024**2
"""What it keeps besides of views that readers make themselves: of these there is no end."""
# Whoever has none of these is nobody that a page could know.
_COOKIES = (settings.SESSION_COOKIE_NAME, "messages")


@dataclass(frozen=True)
class Kept:
    """A page's bytes, the same compressed, and the name of their content."""

    body: bytes
    compressed: bytes
    digest: str

    @property
    def size(self) -> int:
        return len(self.body) + len(self.compressed)


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
        # Nothing of its reader's is on the page, so that its compressed length tells nothing (BREACH).
        kept = Kept(body, gzip.compress(body, 5, mtime=0), hashlib.sha256(body).hexdigest()[:32])
        with self._lock:
            earlier = self._kept.pop(key, None)
            self._size += kept.size - (earlier.size if earlier else 0)
            self._kept[key] = kept
            while self._size > self._most:
                _, oldest = self._kept.popitem(last=False)
                self._size -= oldest.size
        return kept


class Passing(str):
    """A part of a page that will be another one soon: it is not kept."""

    __slots__ = ()


_common, _rare = Shelf(MOST_BYTES), Shelf(MOST_RARE_BYTES)
_INDENT = re.compile(r"\n\s+")


def shared(
    request: HttpRequest, key: Hashable, render: Callable[[], HttpResponse], *, rare: bool = False
) -> HttpResponse:
    """The page that `render` makes, with an ETag, and 304 to a reader who has it.

    `key` has to name everything that the page depends on but for its reader and host. It is rendered anew for
    readers who are signed in, and where it was not to be stored. What is `rare` displaces only its like, and
    a reader may have only so much of it made.
    """
    if any(name in request.COOKIES for name in _COOKIES):
        response = render()
        response["Cache-Control"] = "private, no-cache"
    else:
        whole = (request.scheme, request.get_host(), maintenance.stamp(), key)
        shelf = _rare if rare else _common
        kept = shelf.get(whole)
        if kept is None:
            response = (pace.refusal(request) if rare else None) or render()
            if response.get("Cache-Control") != "no-store":
                kept = shelf.put(whole, response.content)
        if kept is not None:
            response = _answer(request, kept)
    patch_vary_headers(response, ("Cookie", "Accept-Encoding"))
    return response


def _answer(request: HttpRequest, kept: Kept) -> HttpResponse:
    compressed = _accepts_gzip(request)
    etag = f'"{kept.digest}{"-gzip" if compressed else ""}"'
    response = get_conditional_response(request, etag=etag)
    if response is None:
        response = HttpResponse(kept.compressed if compressed else kept.body)
        if compressed:
            response["Content-Encoding"] = "gzip"
    response["ETag"] = etag
    response["Cache-Control"] = "public, no-cache"
    return response


def _accepts_gzip(request: HttpRequest) -> bool:
    for offer in request.headers.get("Accept-Encoding", "").split(","):
        coding, _, weight = offer.strip().partition(";")
        if coding in ("gzip", "*"):
            return weight.replace(" ", "") not in ("q=0", "q=0.0", "q=0.00", "q=0.000")
    return False


def fragment(key: Hashable, render: Callable[[], str], *, rare: bool = False) -> str:
    """The part of a page that `render` makes, which is the same for all readers, without indentation."""
    shelf = _rare if rare else _common
    kept = shelf.get(key)
    if kept is None:
        text = render()
        if isinstance(text, Passing):
            return text
        kept = shelf.put(key, _INDENT.sub("\n", text).encode())
    return kept.body.decode()
