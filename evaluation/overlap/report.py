"""What a comparison says: counts, matching digests and a commitment to all others; and its JSON form."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass

from evaluation.errors import DataError
from evaluation.overlap.index import Index

FORMAT = "flowertune-overlap/1"
MAX_SIZE = 1024**2
_SHA256 = re.compile(r"[0-9a-f]{64}")
_DIGEST = re.compile(r"[0-9a-f]{16}")


@dataclass(frozen=True)
class Matches:
    """Digests of a benchmark that stand in the training data too, one at least for each touched item."""

    data_digest: str
    digests: tuple[int, ...]


@dataclass(frozen=True)
class Report:
    """`rows` and different `ngrams` of training data.

    `commitment` is the SHA-256 of all their sorted digests: whoever has the data can show that it was these.
    """

    rows: int
    ngrams: int
    commitment: str
    benchmarks: Mapping[str, Matches]

    def to_json(self) -> dict[str, object]:
        return {
            "format": FORMAT,
            "rows": self.rows,
            "ngrams": self.ngrams,
            "commitment": self.commitment,
            "benchmarks": {
                slug: {
                    "data_digest": matches.data_digest,
                    "digests": [f"{digest:016x}" for digest in matches.digests],
                }
                for slug, matches in self.benchmarks.items()
            },
        }

    @classmethod
    def from_json(cls, text: str | bytes) -> Report:
        """Raises DataError."""
        try:
            row = json.loads(text)
            if row["format"] != FORMAT or not _SHA256.fullmatch(row["commitment"]):
                raise ValueError
            return cls(
                _count(row["rows"]),
                _count(row["ngrams"]),
                row["commitment"],
                {str(slug): _matches(each) for slug, each in row["benchmarks"].items()},
            )
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise DataError("this is no report that flowertune overlap wrote") from error


def touched(index: Index, matches: Matches) -> frozenset[int]:
    """The numbers of the items that share an n-gram. Raises DataError where that cannot be said."""
    if index.data_digest != matches.data_digest:
        raise DataError(
            f"the report is of other items of {index.benchmark} than the site has now; make it anew"
        )
    items: set[int] = set()
    for digest in matches.digests:
        found = list(index.items_of(digest))
        if not found:
            raise DataError(f"{digest:016x} is no n-gram of {index.benchmark}")
        items.update(found)
    return frozenset(items)


def _count(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 10**15:
        raise ValueError(value)
    return value


def _matches(row: Mapping[str, object]) -> Matches:
    digest, found = row["data_digest"], row["digests"]
    if not isinstance(digest, str) or len(digest) > 100 or not isinstance(found, list):
        raise ValueError(row)
    if not all(isinstance(each, str) and _DIGEST.fullmatch(each) for each in found):
        raise ValueError(row)
    return Matches(digest, tuple(sorted({int(each, 16) for each in found})))
