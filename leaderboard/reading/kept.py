"""Values in the cache: typed, compressed, under keys that name their format. None of them holds code.

What is damaged, or laid out by another release, counts as absent: whoever needs it makes it anew.
"""

from __future__ import annotations

import hashlib
import logging
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Generic, TypeVar

import msgspec
from django.core.cache import cache

from leaderboard.reading import collector

T = TypeVar("T")
_LEVEL = 1  # the fastest
logger = logging.getLogger(__name__)


class UnreadableError(ValueError):
    """Bytes that are no value of a kind."""


@dataclass(frozen=True)
class Kind(Generic[T]):
    """Values of one type: plain ones, dataclasses, and lists, tuples and mappings of these.

    They are kept for so many `seconds`, None for as long as nobody replaces them. Raise `number` when what a
    value says changes; a change of the type itself, down to any field in it, gives another `format` anyway.
    """

    name: str
    type: type[T]
    number: int
    seconds: int | None

    @cached_property
    def format(self) -> str:
        """Number and layout, as the keys name them."""
        layout = msgspec.json.encode(msgspec.json.schema(self.type), order="deterministic")
        return f"{self.number}-{hashlib.sha256(layout).hexdigest()[:12]}"

    def key(self, of: str) -> str:
        return f"{self.name}:{self.format}:{of}"

    def get(self, of: str) -> T | None:
        """What is kept of something; None where nothing is that can be read."""
        found = cache.get(self.key(of))
        if found is None:
            return None
        try:
            return self.load(found)
        except UnreadableError as error:
            logger.warning("%s in the cache is damaged and made anew: %s", self.key(of), error)
            return None

    def put(self, of: str, value: T) -> None:
        cache.set(self.key(of), self.dump(value), self.seconds)

    def has(self, of: str) -> bool:
        return bool(cache.has_key(self.key(of)))

    def drop(self, of: str) -> None:
        cache.delete(self.key(of))

    def get_or_make(self, of: str, make: Callable[[], T]) -> T:
        found = self.get(of)
        if found is None:
            found = make()
            self.put(of, found)
        return found

    def dump(self, value: T) -> bytes:
        return zlib.compress(plain(value), _LEVEL)

    def load(self, kept: bytes) -> T:
        """What `dump` made of the same format. Raises UnreadableError: the checksum is part of the bytes."""
        try:
            with collector.held_back():
                return self._decoder.decode(zlib.decompress(kept))
        except (TypeError, zlib.error, msgspec.DecodeError) as error:
            raise UnreadableError(str(error)) from error

    @cached_property
    def _decoder(self) -> msgspec.msgpack.Decoder[T]:
        return msgspec.msgpack.Decoder(self.type)


def plain(value: Any) -> bytes:
    """A value as MessagePack, a dataclass by its fields. Raises TypeError where there is no form for it."""
    return _encoder.encode(value)


def _as_builtin(value: Any) -> float | str:
    """numpy's floating numbers and texts that are marked as safe."""
    for builtin in (float, str):
        if isinstance(value, builtin):
            return builtin(value)
    raise TypeError(f"a {type(value).__name__} has no form in the cache")


_encoder = msgspec.msgpack.Encoder(enc_hook=_as_builtin)
