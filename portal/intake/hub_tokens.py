"""A submitter's token for the hub on its way to the worker: in the cache, encrypted, for a short time.

It never reaches the database, a message or a log. Whoever reads the cache without SECRET_KEY learns nothing.
"""

from __future__ import annotations

import base64
import hashlib
import uuid

from cryptography.fernet import Fernet, InvalidToken
from django.conf import settings
from django.core.cache import cache

LIFETIME_SECONDS = 1800


def keep(token: str) -> uuid.UUID:
    """Put a token down for a worker and return the key to it. The cache may lose it at any time."""
    key = uuid.uuid4()
    cache.set(_name(key), _cipher().encrypt(token.encode()), timeout=LIFETIME_SECONDS)
    return key


def take(key: uuid.UUID) -> str | None:
    """Return a token and forget it; None where it is gone."""
    encrypted = cache.get(_name(key))
    cache.delete(_name(key))
    if encrypted is None:
        return None
    try:
        return _cipher().decrypt(encrypted, ttl=LIFETIME_SECONDS).decode()
    except InvalidToken:
        return None  # SECRET_KEY was changed in between


def _name(key: uuid.UUID) -> str:
    return f"hub-token:{key}"


def _cipher() -> Fernet:
    secret = hashlib.sha256(b"portal.intake.hub_tokens:" + settings.SECRET_KEY.encode()).digest()
    return Fernet(base64.urlsafe_b64encode(secret))
