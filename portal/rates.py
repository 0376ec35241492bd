"""How often somebody may do something: a window that slides, counted once for all processes of the site."""

from __future__ import annotations

import logging
import math
import time
from dataclasses import dataclass
from functools import cache

from django.conf import settings
from django.http import HttpRequest
from limits import RateLimitItem, parse
from limits.errors import StorageError
from limits.storage import RedisStorage
from limits.strategies import MovingWindowRateLimiter
from rest_framework.request import Request
from rest_framework.throttling import BaseThrottle

from portal import valkey

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Hit:
    """Whether this time is within the rate, how many are left, and the seconds until one is freed."""

    is_allowed: bool
    quota: int
    window: int
    remaining: int
    reset: int


def hit(rate: str, *who: str) -> Hit:
    """Count one more of `who` at a rate such as "120/minute". Counting and asking are one step in Valkey.

    While Valkey is away nobody is held back, and the log says so: the site goes on.
    """
    item = _parsed(rate)
    quota, window = item.amount, item.get_expiry()
    limiter = _limiter(settings.REDIS_URL)
    try:
        is_allowed = limiter.hit(item, *who)
        reset_at, remaining = limiter.get_window_stats(item, *who)
    except StorageError as error:
        logger.warning("rates are not counted: %s", error)
        return Hit(is_allowed=True, quota=quota, window=window, remaining=quota, reset=window)
    reset = max(1, math.ceil(reset_at - time.time()))
    return Hit(is_allowed=is_allowed, quota=quota, window=window, remaining=remaining, reset=reset)


def address_of(request: Request | HttpRequest) -> str:
    """Whose request it is where nobody is signed in: an address, the proxy's header only with TRUST_PROXY."""
    return BaseThrottle().get_ident(request) or "nowhere"  # type: ignore[arg-type]


@cache
def _parsed(rate: str) -> RateLimitItem:
    return parse(rate)


@cache
def _limiter(url: str) -> MovingWindowRateLimiter:
    scheme = f"redis+{url}" if url.startswith("unix:") else url
    return MovingWindowRateLimiter(
        RedisStorage(scheme, connection_pool=valkey.client(url).connection_pool, wrap_exceptions=True)
    )
