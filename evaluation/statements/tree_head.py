"""The head of the log: its size and root at a time, signed by the site."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from evaluation.statements.canonical_json import canonical
from evaluation.statements.envelope import Envelope
from evaluation.statements.errors import StatementError
from evaluation.statements.fields import binary, document, encoded, field, moment, written

HEAD_TYPE = "application/vnd.flowertune.tree-head+json"
_WHAT = "The log's head"


@dataclass(frozen=True)
class TreeHead:
    """`log` is the address of the site whose log it is."""

    log: str
    size: int
    root: bytes
    time: datetime

    def to_bytes(self) -> bytes:
        """The payload of its envelope, in canonical form."""
        row = {"log": self.log, "size": self.size, "root": encoded(self.root), "time": written(self.time)}
        return canonical(row)

    @classmethod
    def read(cls, envelope: Envelope) -> TreeHead:
        """What an envelope says, whoever signed it. Raises StatementError."""
        row = document(envelope.of_type(HEAD_TYPE), _WHAT)
        root, size = binary(row, "root", _WHAT), field(row, "size", int, _WHAT)
        if len(root) != 32 or size < 1:
            raise StatementError(f"{_WHAT} has no size and root of a tree.")
        return cls(field(row, "log", str, _WHAT), size, root, moment(row, "time", _WHAT))
