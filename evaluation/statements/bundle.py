"""One file with all that a statement is checked with: its place in the log, the log's head, and the keys."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from evaluation.statements.envelope import Envelope
from evaluation.statements.errors import StatementError
from evaluation.statements.fields import as_object, document, encoded, field, hashes
from evaluation.statements.keys import KeySet

MEDIA_TYPE = "application/vnd.flowertune.statement-bundle+json;version=1"
_WHAT = "The bundle"


@dataclass(frozen=True)
class Consistency:
    """The proof that the log under the bundle's head goes on from what it was with `size` leaves."""

    size: int
    hashes: tuple[bytes, ...]


@dataclass(frozen=True)
class Bundle:
    """`keys` came along with the rest: they are for convenience, and no reason to trust what they signed.
    `consistency` is there for who asked for it with a head that they kept."""

    statement: Envelope
    leaf: int
    inclusion: tuple[bytes, ...]
    head: Envelope
    keys: KeySet
    consistency: Consistency | None = None

    @classmethod
    def parse(cls, text: str | bytes) -> Bundle:
        """Raises StatementError."""
        return cls.read(document(text, _WHAT))

    @classmethod
    def read(cls, value: object) -> Bundle:
        """Raises StatementError."""
        row = as_object(value, _WHAT)
        if row.get("mediaType") != MEDIA_TYPE:
            raise StatementError(f"{_WHAT} is none of version 1: its mediaType is not {MEDIA_TYPE}.")
        place = field(row, "inclusion", dict, _WHAT)
        return cls(
            Envelope.read(row.get("statement")),
            field(place, "leaf", int, "The proof of inclusion"),
            hashes(place, "hashes", "The proof of inclusion"),
            Envelope.read(row.get("head")),
            KeySet.read(row.get("keys")),
            _consistency(row.get("consistency")),
        )

    def to_json(self) -> dict[str, Any]:
        since = self.consistency
        proof = {"from": since.size, "hashes": [encoded(one) for one in since.hashes]} if since else None
        return {
            "mediaType": MEDIA_TYPE,
            "statement": self.statement.to_json(),
            "inclusion": {"leaf": self.leaf, "hashes": [encoded(one) for one in self.inclusion]},
            "head": self.head.to_json(),
            "keys": self.keys.to_json(),
            **({"consistency": proof} if proof else {}),
        }


def _consistency(value: object) -> Consistency | None:
    if value is None:
        return None
    what = "The proof of consistency"
    row = as_object(value, what)
    return Consistency(field(row, "from", int, what), hashes(row, "hashes", what))
