"""Training rows: where they lie, and reading them."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

from evaluation.data import training
from evaluation.data.register import RegisterFile
from evaluation.data.training import COLUMNS, TrainingRow
from evaluation.errors import DataError
from evaluation.rules import challenges

DEMONSTRATION = Path(__file__).resolve().parents[1] / "demonstration" / "train"
DOMAIN = "domain"
"""The column of rows that come from several challenges' files: the challenge."""
HUB = "hub"
"""Said in place of a path: the challenge's own training set."""
_KINDS = (".jsonl", ".parquet")


@dataclass(frozen=True)
class TrainingData:
    """All rows of a run. `digest` is the SHA-256 of the three columns of each row as canonical JSON lines.

    `origin` is the data set and commit of rows that were fetched from the hub, and then their `name` too; it
    is empty for others.
    """

    name: str
    rows: tuple[TrainingRow, ...]
    digest: str
    demonstration: bool
    origin: str = ""

    def identity(self, column: str | None) -> str:
        """What tells these rows from others: `digest`, with the values of a further column that decides."""
        if column is None or column in COLUMNS:
            return self.digest
        values = json.dumps([self.digest, self.column(column)])
        return hashlib.sha256(values.encode()).hexdigest()

    def column(self, name: str) -> tuple[str, ...]:
        """The values of any column, as text. Raises DataError that counts the rows without it."""
        if name in COLUMNS:
            return tuple(getattr(row, name) for row in self.rows)
        values = [dict(row.others).get(name) for row in self.rows]
        missing = values.count(None)
        if missing:
            raise DataError(f"{self.name}: {missing} of {len(values)} rows have no column {name!r}")
        return tuple(value for value in values if value is not None)


def locate(location: Path | None, challenge: str, column: str | None = None) -> Path:
    """The file meant: itself, the challenge's file of a folder, the built-in demonstration rows for None, or
    for `hub` the challenge's training set, fetched if it is not here.

    Where the column that decides on the clients is DOMAIN, a folder is meant with all that it has.
    Raises DataError when there is none; HubError where the hub is at fault or out of reach.
    """
    if location == Path(HUB):
        wanted = challenges.get(challenge).training_set
        return training.fetch(wanted, training.default_folder(), RegisterFile())
    path = DEMONSTRATION if location is None else location
    if path.is_dir() and column == DOMAIN:
        return path
    if path.is_dir():
        name = challenge.replace("-", "_")
        found = [file for kind in _KINDS if (file := path / f"{name}{kind}").is_file()]
        if len(found) > 1:
            raise DataError(f"{path} has both {found[0].name} and {found[1].name}: remove the one not meant")
        path = found[0] if found else path / f"{name}.jsonl"
    if not path.is_file():
        raise DataError(f"training data {path} does not exist")
    return path


@lru_cache(maxsize=1)  # a simulated client process serves many clients with the same file
def read(path: Path) -> TrainingData:
    """Read a file of training rows, JSON lines or another kind that data come in.

    Of a folder, those of all challenges that it has files of, with the challenge as their column DOMAIN.
    Raises DataError that names row and column.
    """
    if path.is_dir():
        return _of_all_domains(path)
    rows = tuple(row for _, row in training.read(path))
    if not rows:
        raise DataError(f"training data {path} has no rows")
    if not any(row.output.strip() for row in rows):
        raise DataError(f"training data {path} has no answer to learn: the column 'output' is always empty")
    origin = training.origin_of(path)
    demonstration = path.resolve().parent == DEMONSTRATION
    name = origin or (f"demonstration/train/{path.name}" if demonstration else path.name)
    digest = training.digest_of(rows)
    return TrainingData(name, rows, digest, demonstration, origin)


def _of_all_domains(folder: Path) -> TrainingData:
    names = {slug: slug.replace("-", "_") for slug in challenges.CHALLENGES}
    files = {
        slug: file
        for slug, name in names.items()
        for kind in _KINDS
        if (file := folder / f"{name}{kind}").is_file()
    }
    if not files:
        raise DataError(f"{folder} has no file of training rows named by a challenge")
    # A link leads to a file whose name says where it comes from.
    parts = {slug: read.__wrapped__(file.resolve()) for slug, file in files.items()}
    rows = tuple(
        replace(row, others=(*row.others, (DOMAIN, slug)))
        for slug, part in parts.items()
        for row in part.rows
    )
    demonstration = all(part.demonstration for part in parts.values())
    origins = [part.origin for part in parts.values()]
    return TrainingData(
        ", ".join(part.name for part in parts.values()),
        rows,
        training.digest_of(rows),
        demonstration,
        ", ".join(origins) if all(origins) else "",
    )
