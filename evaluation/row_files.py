"""Reading rows from the kinds of file that data sets come in. Nothing in a file is ever run.

A row is given with its place, "line 3" or "row 3", for messages about it.
"""

from __future__ import annotations

import csv
import io
import json
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from evaluation.errors import DataError

Row = dict[str, Any]
Rows = Iterator[tuple[str, Row]]
_LARGEST = 1024**3
"""Bytes that a file may unpack to: a small one can hold any amount of the same."""


def read_rows(path: Path, member: str | None = None, *, otherwise: str = "") -> Rows:
    """The rows of a JSONL, JSON, CSV or Parquet file, or the lines of a ZIP archive's member.

    `otherwise` is the suffix that stands for any unknown one. Raises DataError that names the file, and the
    place in it where there is one.
    """
    reader = _READERS.get(path.suffix) or _READERS.get(otherwise)
    try:
        if member is not None:
            yield from _read_archive(path, member)
        elif reader is None:
            raise DataError(f"{path} is of no kind that is read: {', '.join(_READERS)}")
        else:
            yield from reader(path)
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not UTF-8 text: {error}") from error


def _read_json_lines(path: Path) -> Rows:
    with path.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, 1):
            if line.strip():
                yield f"line {number}", _object(_parse(path, line, f"line {number}"), path, f"line {number}")


def _read_json(path: Path) -> Rows:
    rows = _parse(path, path.read_text(encoding="utf-8"), "the whole file")
    if not isinstance(rows, list):
        raise DataError(f"{path}: not a JSON array")
    for number, row in enumerate(rows, 1):
        yield f"row {number}", _object(row, path, f"row {number}")


def _parse(path: Path, text: str, place: str) -> Any:
    try:
        return json.loads(text)
    except (json.JSONDecodeError, RecursionError) as error:
        raise DataError(f"{path}, {place}: not JSON: {error}") from error


def _object(value: Any, path: Path, place: str) -> Row:
    if not isinstance(value, dict):
        raise DataError(f"{path}, {place}: not a JSON object")
    return value


def _read_csv(path: Path) -> Rows:
    """All values are texts. Lines may end inside quotes, so rows are counted, not lines."""
    with path.open(encoding="utf-8-sig", newline="") as lines:
        reader = csv.DictReader(lines, strict=True)
        try:
            for number, row in enumerate(reader, 1):
                if None in row or None in row.values():
                    raise DataError(f"{path}, row {number}: not as many values as the head has columns")
                yield f"row {number}", dict(row)
        except csv.Error as error:
            raise DataError(f"{path}, line {reader.line_num}: not CSV: {error}") from error


def _read_parquet(path: Path) -> Rows:
    # Takes half a second, which nobody with JSONL files should wait for.
    import pyarrow
    import pyarrow.parquet

    try:
        with pyarrow.parquet.ParquetFile(path) as file:
            groups = [file.metadata.row_group(i) for i in range(file.metadata.num_row_groups)]
            if sum(group.total_byte_size for group in groups) > _LARGEST:
                raise DataError(f"{path} unpacks to more than {_LARGEST:,} bytes")
            number = 0
            for batch in file.iter_batches():
                for row in batch.to_pylist():
                    number += 1
                    yield f"row {number}", row
    except pyarrow.ArrowException as error:
        raise DataError(f"{path} is no intact Parquet file: {error}") from error


def _read_archive(path: Path, member: str) -> Rows:
    """The lines of a Latin-1 text, each as the column `line`."""
    try:
        with zipfile.ZipFile(path) as archive:
            if archive.getinfo(member).file_size > _LARGEST:
                raise DataError(f"{path}: {member} unpacks to more than {_LARGEST:,} bytes")
            with archive.open(member) as file:
                for number, line in enumerate(io.TextIOWrapper(file, encoding="iso-8859-1"), 1):
                    yield f"{member}, line {number}", {"line": line.removesuffix("\n")}
    except KeyError as error:
        raise DataError(f"{path} has no member {member}") from error
    # RuntimeError: encrypted. NotImplementedError: packed by a method that is not built in.
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        raise DataError(f"{path} is no intact ZIP archive: {error}") from error


_READERS: dict[str, Callable[[Path], Rows]] = {
    ".jsonl": _read_json_lines,
    ".json": _read_json,
    ".csv": _read_csv,
    ".parquet": _read_parquet,
}
