"""The site's signing key: made when it is first needed, sealed with SECRET_KEY, rotated by the operator.

It lies in the database, not in a file, so that all machines of a site sign alike and rotate at once. Who has
a copy of the database and not SECRET_KEY cannot sign.
"""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass
from datetime import datetime

from cryptography.fernet import Fernet, InvalidToken
from django.conf import settings
from django.db import connection, transaction
from django.utils import timezone

from evaluation.statements import ed25519
from evaluation.statements.envelope import Envelope
from evaluation.statements.keys import ENDORSEMENT_TYPE, KeySet, PublicKey
from portal.transparency.models import SigningKey


class SealedKeyError(Exception):
    """The signing key cannot be opened; the text says to the operator what to do."""

    def __init__(self) -> None:
        super().__init__(
            "The signing key was sealed with another SECRET_KEY. Set that one again, or make a new key with "
            "`manage.py rotate_signing_key`: readers will have to be told that it is yours."
        )


@dataclass(frozen=True)
class Signer:
    """The key in use, with its private half."""

    kid: str
    private: bytes

    def sign(self, payload_type: str, payload: bytes) -> Envelope:
        return Envelope.sign(payload_type, payload, keyid=self.kid, private=self.private)


def lock() -> None:
    """Keep others from writing the log or changing the key until the transaction ends."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtext('transparency log'))")


def signer() -> Signer:
    """The key in use, under `lock`; the first one is made here. Raises SealedKeyError."""
    row = SigningKey.objects.filter(retired_at=None).first()
    return _opened(row) if row else _make(None)


@transaction.atomic
def rotate() -> PublicKey:
    """Put a new key in the place of the one in use, which vouches for it if it can still be opened."""
    lock()
    row = SigningKey.objects.filter(retired_at=None).first()
    try:
        before = _opened(row) if row else None
    except SealedKeyError:
        before = None
    if row:
        row.retired_at, row.sealed = _now(), ""
        row.save(update_fields=["retired_at", "sealed"])
    made = _make(before)
    return _public(SigningKey.objects.get(kid=made.kid))


def key_set() -> KeySet:
    """All keys, old ones too, as they are published."""
    return KeySet(settings.SITE_URL, tuple(map(_public, SigningKey.objects.all())))


def _make(before: Signer | None) -> Signer:
    private = ed25519.new_private_key()
    key = PublicKey(ed25519.public_key_of(private), _now())
    endorsement = before.sign(ENDORSEMENT_TYPE, key.endorsing()).to_json() if before else None
    SigningKey.objects.create(
        kid=key.kid,
        public=key.x,
        sealed=_cipher().encrypt(private).decode(),
        endorsement=endorsement,
        created_at=key.valid_from,
    )
    return Signer(key.kid, private)


def _now() -> datetime:
    """To the second, as times are stated."""
    return timezone.now().replace(microsecond=0)


def _public(row: SigningKey) -> PublicKey:
    endorsement = Envelope.read(row.endorsement) if row.endorsement else None
    return PublicKey(bytes(row.public), row.created_at, row.retired_at, endorsement)


def _opened(row: SigningKey) -> Signer:
    try:
        return Signer(row.kid, _cipher().decrypt(row.sealed.encode()))
    except InvalidToken as error:
        raise SealedKeyError from error


def _cipher() -> Fernet:
    secret = hashlib.sha256(b"portal.transparency.keys:" + settings.SECRET_KEY.encode()).digest()
    return Fernet(base64.urlsafe_b64encode(secret))
