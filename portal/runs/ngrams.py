"""The n-grams of the benchmarks' items in storage, and what is said of training data by them.

An operator's command writes them (`manage.py ngrams`); a benchmark whose rows nobody indexed has none.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import BinaryIO

from django.core.files.base import ContentFile
from django.core.files.storage import default_storage

from evaluation.benchmarks import BENCHMARKS
from evaluation.errors import DataError
from evaluation.overlap.index import Index
from evaluation.overlap.report import Report, touched
from portal.outages.causes import storage_access
from portal.submissions.models import Submission

_TRAINING_SETS = "ngrams/training-sets.json"


@dataclass(frozen=True)
class Share:
    """How many of a benchmark's `items` share an n-gram with training data; `comparable` could have."""

    benchmark: str
    touched: int
    comparable: int
    items: int
    data_digest: str

    @property
    def title(self) -> str:
        return BENCHMARKS[self.benchmark].title

    @property
    def portion(self) -> float:
        return self.touched / self.items if self.items else 0.0


@dataclass(frozen=True)
class Overlap:
    """Training data with benchmarks: `rows` with different `ngrams`, and a SHA-256 that commits to them."""

    rows: int
    ngrams: int
    commitment: str
    shares: tuple[Share, ...]

    def to_json(self) -> dict[str, object]:
        return asdict(self) | {"shares": [asdict(share) for share in self.shares]}

    @classmethod
    def from_json(cls, row: dict[str, object]) -> Overlap:
        shares = row["shares"]
        assert isinstance(shares, list)
        known = tuple(Share(**share) for share in shares if share["benchmark"] in BENCHMARKS)
        return cls(**{**row, "shares": known})  # type: ignore[arg-type]  # as `to_json` wrote it


def store(index: Index) -> None:
    """In place of the benchmark's index before."""
    _write(_name(index.benchmark), index.to_bytes())


def opened(benchmark: str) -> BinaryIO | None:
    """The file of a benchmark's index."""
    with storage_access():
        name = _name(benchmark)
        return default_storage.open(name) if default_storage.exists(name) else None  # type: ignore[return-value]


def stored(benchmark: str) -> Index | None:
    if (file := opened(benchmark)) is None:
        return None
    with file:
        return Index.from_bytes(file.read())


def overlap_of(report: Report) -> Overlap:
    """What a report says of this site's items. Raises DataError for one of other items, or of none."""
    shares = []
    for slug, matches in report.benchmarks.items():
        index = stored(slug) if slug in BENCHMARKS else None
        if index is None:
            raise DataError(f"the site has no n-grams of {slug[:60]}; leave it out of the report")
        count = len(touched(index, matches))
        shares.append(Share(slug, count, index.comparable, index.items, index.data_digest))
    return Overlap(report.rows, report.ngrams, report.commitment, tuple(shares))


def overlap_of_submission(submission: Submission) -> Overlap | None:
    """By the report that came with it."""
    return Overlap.from_json(submission.overlap) if submission.overlap else None


def store_training_sets(found: dict[str, Overlap]) -> None:
    """By hub id, all that there are."""
    _write(_TRAINING_SETS, json.dumps({name: each.to_json() for name, each in found.items()}).encode())


def training_sets() -> dict[str, Overlap]:
    """What was found of the challenges' training sets, by hub id."""
    with storage_access():
        if not default_storage.exists(_TRAINING_SETS):
            return {}
        with default_storage.open(_TRAINING_SETS) as file:
            content = json.loads(file.read())
    return {name: Overlap.from_json(row) for name, row in content.items()}


def _name(benchmark: str) -> str:
    return f"ngrams/{benchmark}.bin"


def _write(name: str, content: bytes) -> None:
    with storage_access():
        default_storage.delete(name)
        default_storage.save(name, ContentFile(content))
