"""When each board was last built and how long that took, whichever process did it: kept in the cache."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from django.core.cache import cache
from django.utils import timezone

from evaluation.rules.challenges import CHALLENGES
from evaluation.rules.protocol import PROTOCOLS
from portal import tracing
from portal.submissions.models import Submission
from portal.tracing import Span

_RECENT = timedelta(hours=1)
"""Whose publication lies longer ago is no cause of a board's build."""


@dataclass(frozen=True)
class Build:
    challenge: str
    protocol: int
    at: float
    """Seconds since 1970."""
    seconds: float


def note(challenge: str, protocol: int, seconds: float) -> None:
    now = timezone.now()
    if tracing.is_on():
        last = next(
            (one.at for one in builds() if (one.challenge, one.protocol) == (challenge, protocol)), 0.0
        )
        _trace(challenge, protocol, max(datetime.fromtimestamp(last, UTC), now - _RECENT), seconds)
    cache.set(_key(challenge, protocol), [now.timestamp(), seconds], None)


def builds() -> Iterator[Build]:
    """The last one of each board that was ever built; none while the cache is away."""
    boards = {_key(slug, number): (slug, number) for slug in CHALLENGES for number in PROTOCOLS}
    for key, (at, seconds) in cache.get_many(list(boards)).items():
        yield Build(*boards[key], at, seconds)


def _trace(challenge: str, protocol: int, since: datetime, seconds: float) -> None:
    """In the trace of each entry that was published since."""
    ended = timezone.now().timestamp()
    new = Submission.objects.filter(challenge=challenge, published_at__gt=since)
    for pk in new.values_list("pk", flat=True):
        said: dict[str, str | int] = {"challenge": challenge, "protocol": protocol}
        tracing.record(Span(pk, "building the board", ended - seconds, ended, attributes=said))


def _key(challenge: str, protocol: int) -> str:
    return f"board-build:{challenge}:{protocol}"
