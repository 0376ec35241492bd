"""Training rows: where they lie, and reading them."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from evaluation.errors import DataError

DEMONSTRATION = Path(__file__).resolve().parents[1] / "demonstration" / "train"
COLUMNS = ("instruction", "input", "output")


@dataclass(frozen=True)
class Row:
    """One training row. `input` may be empty. `others` are its further columns that are text or numbers."""

    instruction: str
    input: str
    output: str
    others: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class TrainingData:
    """All rows of a run. `digest` is the SHA-256 of the three columns of each row as canonical JSON lines."""

    name: str
    rows: tuple[Row, ...]
    digest: str
    demonstration: bool

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


def locate(location: Path | None, challenge: str) -> Path:
    """The JSONL file meant: itself, the challenge's file of a folder, or the built-in demonstration rows.

    Raises DataError when there is none.
    """
    if location is None:
        location = DEMONSTRATION
    path = location / f"{challenge.replace('-', '_')}.jsonl" if location.is_dir() else location
    if not path.is_file():
        raise DataError(f"training data {path} does not exist")
    return path


@lru_cache(maxsize=1)  # a simulated client process serves many clients with the same file
def read(path: Path) -> TrainingData:
    """Read a JSONL file of training rows. Raises DataError that names line and column."""
    digest = hashlib.sha256()
    rows = []
    try:
        with path.open(encoding="utf-8") as lines:
            for number, line in enumerate(lines, 1):
                if line.strip():
                    row = _row(line, f"{path}, line {number}")
                    rows.append(row)
                    digest.update(_canonical(row))
    except OSError as error:
        raise DataError(f"training data {path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise DataError(f"training data {path} is not UTF-8: {error}") from error
    if not rows:
        raise DataError(f"training data {path} has no rows")
    demonstration = path.resolve().parent == DEMONSTRATION
    name = f"demonstration/train/{path.name}" if demonstration else path.name
    return TrainingData(name, tuple(rows), digest.hexdigest(), demonstration)


def _row(line: str, place: str) -> Row:
    try:
        values: Any = json.loads(line)
    except ValueError as error:
        raise DataError(f"{place}: not JSON: {error}") from error
    if not isinstance(values, dict):
        raise DataError(f"{place}: not a JSON object")
    for column in COLUMNS:
        if not isinstance(values.get(column, "" if column == "input" else None), str):
            raise DataError(f"{place}, column {column!r}: expected text, found {values.get(column)!r:.80}")
    if not values["output"]:
        raise DataError(f"{place}, column 'output': there is no answer to learn")
    others = ((k, str(v)) for k, v in values.items() if k not in COLUMNS and isinstance(v, str | int | float))
    return Row(values["instruction"], values.get("input", ""), values["output"], tuple(others))


def _canonical(row: Row) -> bytes:
    columns = {"instruction": row.instruction, "input": row.input, "output": row.output}
    return json.dumps(columns, sort_keys=True, ensure_ascii=False).encode("utf-8", "surrogatepass") + b"\n"
