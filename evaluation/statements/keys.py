"""The public keys of a log, as they are published: JSON Web Keys (RFC 8037) with the time of their use."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from evaluation.statements.canonical_json import canonical
from evaluation.statements.envelope import Envelope
from evaluation.statements.errors import StatementError
from evaluation.statements.fields import as_object, binary, document, field, moment, written

WELL_KNOWN = "/.well-known/flowertune-log.json"
ENDORSEMENT_TYPE = "application/vnd.flowertune.next-key+json"
"""Of the envelope in which a key vouches for the one after it."""


@dataclass(frozen=True)
class PublicKey:
    """An Ed25519 key: 32 bytes, and when the site signed with it; None while it still does."""

    x: bytes
    valid_from: datetime
    valid_until: datetime | None = None
    endorsement: Envelope | None = None

    @property
    def kid(self) -> str:
        """Its thumbprint (RFC 7638)."""
        return _url_safe(hashlib.sha256(canonical(self._required)).digest())

    @property
    def _required(self) -> dict[str, str]:
        return {"crv": "Ed25519", "kty": "OKP", "x": _url_safe(self.x)}

    def is_valid_at(self, time: datetime) -> bool:
        return self.valid_from <= time and (self.valid_until is None or time <= self.valid_until)

    def to_json(self) -> dict[str, Any]:
        return {
            **self._required,
            "alg": "EdDSA",
            "use": "sig",
            "kid": self.kid,
            "valid_from": written(self.valid_from),
            "valid_until": written(self.valid_until) if self.valid_until else None,
            "endorsement": self.endorsement.to_json() if self.endorsement else None,
        }

    @classmethod
    def read(cls, value: object) -> PublicKey:
        """Raises StatementError."""
        what = "A key"
        row = as_object(value, what)
        if (row.get("kty"), row.get("crv")) != ("OKP", "Ed25519"):
            raise StatementError(f"{what} is not of the kind Ed25519.")
        until, endorsement = row.get("valid_until"), row.get("endorsement")
        key = cls(
            binary(row, "x", what),
            moment(row, "valid_from", what),
            moment(row, "valid_until", what) if until is not None else None,
            Envelope.read(endorsement) if endorsement is not None else None,
        )
        if len(key.x) != 32 or field(row, "kid", str, what) != key.kid:
            raise StatementError(f"{what} does not have the id that follows from it.")
        return key

    def endorsing(self) -> bytes:
        """What the key before it signs."""
        return canonical({"kid": self.kid, "valid_from": written(self.valid_from)})


@dataclass(frozen=True)
class KeySet:
    """All keys of a log, old ones too; `log` is its site's address."""

    log: str
    keys: tuple[PublicKey, ...]

    @classmethod
    def read(cls, value: object) -> KeySet:
        """Raises StatementError."""
        row = as_object(value, "The key file")
        keys = tuple(PublicKey.read(one) for one in field(row, "keys", list, "The key file"))
        return cls(field(row, "log", str, "The key file"), keys)

    @classmethod
    def parse(cls, text: str | bytes) -> KeySet:
        """Raises StatementError."""
        return cls.read(document(text, "The key file"))

    def to_json(self) -> dict[str, Any]:
        return {"log": self.log, "keys": [key.to_json() for key in self.keys]}

    @property
    def by_id(self) -> Mapping[str, PublicKey]:
        return {key.kid: key for key in self.keys}

    def signer(self, envelope: Envelope, time: datetime) -> PublicKey | None:
        """The key of this set that signed the envelope and was in use at that time."""
        known = self.by_id
        signed = envelope.signers({kid: key.x for kid, key in known.items()})
        return next((known[kid] for kid in sorted(signed) if known[kid].is_valid_at(time)), None)

    def extended_by(self, offered: KeySet) -> KeySet:
        """With those of the offered keys that one of these, or one so taken, vouches for; of these, the ends.

        What nobody vouches for stays out: whoever can offer keys could offer his own.
        """
        new = offered.by_id
        known = [replace(key, valid_until=_end(key, new.get(key.kid))) for key in self.keys]
        for key in sorted(offered.keys, key=lambda key: key.valid_from):
            trusted = KeySet(self.log, tuple(known))
            if key.kid not in trusted.by_id and _is_endorsed(key, trusted):
                known.append(key)
        return KeySet(self.log, tuple(known))


def _end(key: PublicKey, offered: PublicKey | None) -> datetime | None:
    """A known key's end, which may only come, not go."""
    return key.valid_until or (offered.valid_until if offered else None)


def _is_endorsed(key: PublicKey, trusted: KeySet) -> bool:
    envelope = key.endorsement
    if envelope is None or envelope.payload_type != ENDORSEMENT_TYPE:
        return False
    return envelope.payload == key.endorsing() and trusted.signer(envelope, key.valid_from) is not None


def _url_safe(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode("ascii")
