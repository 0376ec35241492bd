"""Signed envelopes by DSSE, the Dead Simple Signing Envelope of secure-systems-lab, version 1.0.2."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from evaluation.statements import ed25519
from evaluation.statements.canonical_json import canonical
from evaluation.statements.errors import StatementError
from evaluation.statements.fields import as_object, binary, encoded, field, text

_WHAT = "The envelope"


@dataclass(frozen=True)
class Signature:
    keyid: str
    sig: bytes


@dataclass(frozen=True)
class Envelope:
    """A payload, what it is, and who signed both."""

    payload_type: str
    payload: bytes
    signatures: tuple[Signature, ...]

    @classmethod
    def sign(cls, payload_type: str, payload: bytes, *, keyid: str, private: bytes) -> Envelope:
        signature = ed25519.sign(private, pae(payload_type, payload))
        return cls(payload_type, payload, (Signature(keyid, signature),))

    @classmethod
    def read(cls, value: object) -> Envelope:
        """Raises StatementError."""
        row = as_object(value, _WHAT)
        signatures = [as_object(one, "A signature") for one in field(row, "signatures", list, _WHAT)]
        return cls(
            text(row, "payloadType", _WHAT),
            binary(row, "payload", _WHAT),
            tuple(
                Signature(text(one, "keyid", "A signature"), binary(one, "sig", "A signature"))
                for one in signatures
            ),
        )

    def to_json(self) -> dict[str, Any]:
        return {
            "payload": encoded(self.payload),
            "payloadType": self.payload_type,
            "signatures": [{"keyid": one.keyid, "sig": encoded(one.sig)} for one in self.signatures],
        }

    def to_bytes(self) -> bytes:
        """The canonical form, which is a leaf of the log."""
        return canonical(self.to_json())

    def signers(self, keys: Mapping[str, bytes]) -> frozenset[str]:
        """The ids of those of the public keys that signed it. A key's id alone proves nothing."""
        message = pae(self.payload_type, self.payload)
        return frozenset(
            one.keyid
            for one in self.signatures
            if one.keyid in keys and ed25519.is_signed(keys[one.keyid], message, one.sig)
        )

    def of_type(self, payload_type: str) -> bytes:
        """The payload. Raises StatementError where it is of another type, as its signature then is."""
        if self.payload_type != payload_type:
            raise StatementError(f"The envelope holds {self.payload_type}, not {payload_type}.")
        return self.payload


def pae(payload_type: str, payload: bytes) -> bytes:
    """The pre-authentication encoding: what is signed, unambiguous whatever type and payload hold."""
    kind = payload_type.encode("utf-8")
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)
