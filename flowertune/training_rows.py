"""The texts of local training data, row by row, from files and folders of the usual kinds."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from evaluation.errors import DataError
from evaluation.row_files import read_rows
from flowertune.errors import ClientError, UsageError

_ROWS = (".jsonl", ".json", ".csv", ".parquet")
_TEXT = ".txt"


def files_in(paths: Sequence[Path]) -> list[Path]:
    """The files that are named, and those of the folders that are. Raises UsageError where there is none."""
    found: list[Path] = []
    for path in paths:
        if path.is_dir():
            inside = sorted(each for each in path.rglob("*") if each.suffix in (*_ROWS, _TEXT))
            if not inside:
                raise UsageError(f"{path} has no file of the kinds {', '.join((*_ROWS, _TEXT))}.")
            found += inside
        elif path.is_file():
            found.append(path)
        else:
            raise UsageError(f"There is no file or folder {path}.")
    return list(dict.fromkeys(found))


def texts(path: Path) -> Iterator[list[str]]:
    """A row's texts; a text file is one row a paragraph. Raises ClientError."""
    if path.suffix == _TEXT:
        yield from ([paragraph] for paragraph in _paragraphs(path))
        return
    try:
        for _, row in read_rows(path):
            yield list(_texts(row))
    except DataError as error:
        raise ClientError(str(error)) from error
    except ModuleNotFoundError as error:
        raise ClientError(
            f"{path}: Parquet is read where pyarrow is installed: pip install pyarrow"
        ) from error


def _paragraphs(path: Path) -> Iterator[str]:
    lines: list[str] = []
    try:
        with path.open(encoding="utf-8") as file:
            for line in file:
                if line.strip():
                    lines.append(line)
                elif lines:
                    yield "".join(lines)
                    lines = []
    except (OSError, UnicodeDecodeError) as error:
        raise ClientError(f"{path} cannot be read as UTF-8 text: {error}") from error
    if lines:
        yield "".join(lines)


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for each in value.values():
            yield from _texts(each)
    elif isinstance(value, list):
        for each in value:
            yield from _texts(each)
