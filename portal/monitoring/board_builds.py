"""When each board was last built and how long that took, whichever process did it: kept in the cache."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from django.core.cache import cache
from django.utils import timezone

from evaluation.rules.challenges import CHALLENGES
from evaluation.rules.protocol import PROTOCOLS


@dataclass(frozen=True)
class Build:
    challenge: str
    protocol: int
    at: float
    """Seconds since 1970."""
    seconds: float


def note(challenge: str, protocol: int, seconds: float) -> None:
    cache.set(_key(challenge, protocol), [timezone.now().timestamp(), seconds], None)


def builds() -> Iterator[Build]:
    """The last one of each board that was ever built; none while the cache is away."""
    boards = {_key(slug, number): (slug, number) for slug in CHALLENGES for number in PROTOCOLS}
    for key, (at, seconds) in cache.get_many(list(boards)).items():
        yield Build(*boards[key], at, seconds)


def _key(challenge: str, protocol: int) -> str:
    return f"board-build:{challenge}:{protocol}"
