"""What a dump says of itself: its files with their digests, and what the data were made under."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

NAME = "manifest.json"
FORMAT = "flowertune-dump"
VERSION = 1
"""Of the tables and their columns."""


class DumpError(Exception):
    """What was given is no dump that can be read; the text says why."""


@dataclass(frozen=True)
class File:
    """A Parquet file of a table. `sha256` is of its bytes."""

    name: str
    table: str
    rows: int
    size: int
    sha256: str
    about: str


@dataclass(frozen=True)
class Manifest:
    """`protocols` are, by number, the benchmarks of each challenge; `log_head` is the newest signed head of
    the site's log, None while the log is empty."""

    site: str
    created_at: datetime
    protocols: Mapping[str, Mapping[str, list[str]]]
    log_head: Mapping[str, Any] | None
    files: tuple[File, ...]

    def to_json(self) -> dict[str, Any]:
        return {
            "format": FORMAT,
            "version": VERSION,
            "site": self.site,
            "created_at": self.created_at.isoformat(),
            "protocols": {number: dict(own) for number, own in self.protocols.items()},
            "log_head": dict(self.log_head) if self.log_head else None,
            "files": [asdict(file) for file in self.files],
        }

    @classmethod
    def parse(cls, content: bytes) -> Manifest:
        """Raises DumpError."""
        try:
            row = json.loads(content)
            if row["format"] != FORMAT or row["version"] != VERSION:
                raise DumpError(f"It is no {FORMAT} of version {VERSION}.")
            site = str(row["site"])
            if not site.startswith(("http://", "https://")):
                raise DumpError(f"{NAME} names no site: {site[:100]!r}.")
            return cls(
                site=site,
                created_at=datetime.fromisoformat(row["created_at"]),
                protocols=row["protocols"],
                log_head=row["log_head"],
                files=tuple(File(**file) for file in row["files"]),
            )
        except (ValueError, KeyError, TypeError) as error:
            raise DumpError(f"{NAME} cannot be read: {error!r}") from error
