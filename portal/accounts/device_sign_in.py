"""Signing a program in through the browser: the OAuth 2.0 device authorization grant (RFC 8628).

A program asks for two codes. It shows the short one to its user, who enters it on the site, sees what the
program would get, and allows or refuses it; with the long one the program asks for the outcome. What it gets
is one of the tokens that people also make by hand (`ApiToken`): one kind, to see and to revoke.
"""

from __future__ import annotations

import secrets
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from django.db import transaction
from django.utils import timezone

from portal.accounts.models import ApiToken, DeviceSignIn, User, digest_of

LIFETIME = timedelta(minutes=10)
_LETTERS = "BCDFGHJKLMNPQRSTVWXZ"  # no vowels and no digits: no words, nothing to mistake (RFC 8628, 6.1)
_SLOWER_SECONDS = 5
_SLOWEST_SECONDS = 60  # a program that never slows down asks in vain, and changes nothing more
_TOLERANCE = timedelta(seconds=1)  # requests do not travel equally fast
_KEPT = timedelta(hours=1)  # so that a late program hears that its code expired

Status = DeviceSignIn.Status


class Refusal(StrEnum):
    """Why a program gets no token, or none yet; the values are the RFC's."""

    PENDING = "authorization_pending"
    SLOW_DOWN = "slow_down"
    DENIED = "access_denied"
    EXPIRED = "expired_token"
    INVALID = "invalid_grant"


@dataclass(frozen=True)
class Begun:
    """What a program is told: the code to ask with, and the one to show."""

    device_code: str
    sign_in: DeviceSignIn


@dataclass(frozen=True)
class Allowed:
    """What a person lets a program have."""

    name: str
    scopes: Collection[str]
    expires_at: datetime | None


def begin(device_name: str, scopes: Collection[str]) -> Begun:
    """Wait for a person to sign a program in, which asks for `scopes`."""
    now = timezone.now()
    DeviceSignIn.objects.filter(expires_at__lt=now - _KEPT).delete()
    device_code = secrets.token_urlsafe(32)
    sign_in = DeviceSignIn.objects.create(
        digest=digest_of(device_code),
        user_code=_free_code(),
        device_name=device_name,
        scopes=sorted(set(scopes)),
        expires_at=now + LIFETIME,
    )
    return Begun(device_code, sign_in)


def waiting(user_code: str) -> DeviceSignIn | None:
    """The program that shows this code, however it is typed, while it waits."""
    code = "".join(letter for letter in user_code.upper() if letter.isalnum())
    now = timezone.now()
    return DeviceSignIn.objects.filter(user_code=code, status=Status.PENDING, expires_at__gt=now).first()


def shown(user_code: str) -> str:
    """As people read it: in two halves."""
    return f"{user_code[:4]}-{user_code[4:]}"


def allow(sign_in: DeviceSignIn, user: User, allowed: Allowed) -> bool:
    """Let the program have a token of `user`; False where it no longer waits."""
    return _decide(
        sign_in,
        status=Status.ALLOWED,
        user=user,
        token_name=allowed.name,
        scopes=sorted(set(allowed.scopes)),
        token_expires_at=allowed.expires_at,
    )


def refuse(sign_in: DeviceSignIn) -> bool:
    """Let the program have nothing; False where it no longer waits."""
    return _decide(sign_in, status=Status.REFUSED)


def _decide(sign_in: DeviceSignIn, **changes: object) -> bool:
    still_waiting = DeviceSignIn.objects.filter(
        pk=sign_in.pk, status=Status.PENDING, expires_at__gt=timezone.now()
    )
    return still_waiting.update(**changes) == 1


@transaction.atomic
def redeem(device_code: str) -> tuple[ApiToken, str] | Refusal:
    """The token that was allowed, with its secret, once; else why there is none."""
    sign_in = (
        DeviceSignIn.objects.select_for_update(of=("self",))
        .select_related("user")
        .filter(digest=digest_of(device_code))
        .first()
    )
    if sign_in is None or sign_in.status == Status.REDEEMED:
        return Refusal.INVALID
    now = timezone.now()
    if sign_in.expires_at <= now:
        return Refusal.EXPIRED
    if sign_in.status == Status.PENDING:
        return _still_pending(sign_in, now)
    if sign_in.status == Status.REFUSED or sign_in.user is None or not sign_in.user.is_active:
        return Refusal.DENIED
    DeviceSignIn.objects.filter(pk=sign_in.pk).update(status=Status.REDEEMED)
    return ApiToken.issue(
        user=sign_in.user,
        name=sign_in.token_name,
        scopes=sign_in.scopes,
        expires_at=sign_in.token_expires_at,
    )


def _still_pending(sign_in: DeviceSignIn, now: datetime) -> Refusal:
    shortest = timedelta(seconds=sign_in.interval) - _TOLERANCE
    is_early = sign_in.polled_at is not None and now - sign_in.polled_at < shortest
    slower = _SLOWER_SECONDS if is_early else 0
    interval = min(sign_in.interval + slower, _SLOWEST_SECONDS)
    DeviceSignIn.objects.filter(pk=sign_in.pk).update(polled_at=now, interval=interval)
    return Refusal.SLOW_DOWN if is_early else Refusal.PENDING


def _free_code() -> str:
    while True:
        code = "".join(secrets.choice(_LETTERS) for _ in range(8))
        if not DeviceSignIn.objects.filter(user_code=code).exists():
            return code
