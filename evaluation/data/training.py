"""The challenges' training sets: fetched from the hub at a registered commit, and read from files.

What is fetched is kept as one file of JSON lines that says in its name where it comes from, whatever files
the hub has: a run has one file of rows, and every machine of it the same.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import platformdirs

from evaluation.benchmarks.samples import Row
from evaluation.data.register import Register, now
from evaluation.errors import DataError
from evaluation.hub import fetching
from evaluation.hub.fetching import Fetched
from evaluation.row_files import read_rows
from evaluation.rules.challenges import TrainingSet
from evaluation.wire.registration import Registration

COLUMNS = ("instruction", "input", "output")
BRANCH = "main"
_SUFFIXES = (".parquet", ".jsonl", ".json", ".csv")
_NO_ROWS = ("dataset_infos.json", "dataset_info.json")
_FILE = re.compile(r"(?P<owner>[\w.-]+)--(?P<name>[\w.-]+)@(?P<commit>[0-9a-f]{40})\.jsonl")


@dataclass(frozen=True)
class TrainingRow:
    """One training row. `input` may be empty. `others` are its further columns that are text or numbers."""

    instruction: str
    input: str
    output: str
    others: tuple[tuple[str, str], ...] = ()


def default_folder() -> Path:
    """Where fetched training sets are kept unless somebody says otherwise: the user's folder of caches."""
    return platformdirs.user_cache_path("flowertune") / "training-sets"


def fetch(wanted: TrainingSet, folder: Path, register: Register, fetched: Fetched | None = None) -> Path:
    """The training set as a file of JSON lines in `folder`, fetched from the hub if it is not there.

    Its commit is the registered one; at first sight the hub's newest is registered, and stays. Raises
    OtherRowsError, DataError, HubError where the hub is at fault or out of reach; then there is no file.
    """
    known = register.of(wanted.hub_id)
    if known is not None and (kept := folder / file_name(known)).is_file():
        if digest_of(row for _, row in read(kept)) == known.digest:
            return kept
        kept.unlink()  # not what was written: fetched anew
    rows, found = look_up(wanted, known.commit if known else None, fetched)
    path = folder / file_name(register.record(found))
    _write(path, rows)
    return path


def look_up(
    wanted: TrainingSet, commit: str | None = None, fetched: Fetched | None = None
) -> tuple[list[Row], Registration]:
    """The rows of a training set at a commit, by default the hub's newest, and how a register takes them.

    Raises as `fetch`.
    """
    instead = "give the rows as a file of JSON lines, or a folder of them"
    listing = fetching.list_files(wanted.hub_id, commit or BRANCH, instead=instead)
    names = _data_files(listing.files)
    if not names:
        raise DataError(f"the data set {wanted.hub_id} has no file of rows at {listing.commit}; {instead}")
    snapshot = fetching.fetch_files(wanted.hub_id, listing.commit, names, instead=instead, fetched=fetched)
    rows: list[Row] = []
    digest = _Digest()
    for name in names:
        for place, row in read_rows(snapshot.folder / name):
            digest.add(accept(row, f"{wanted.hub_id}, {name}, {place}"))
            rows.append(row)
    if not rows:
        raise DataError(f"the data set {wanted.hub_id} has no rows at {listing.commit}; {instead}")
    found = Registration(
        wanted.hub_id, wanted.hub_id, listing.commit, len(rows), digest.hexdigest(), "", now()
    )
    return rows, found


def file_name(known: Registration) -> str:
    """The name of the file that holds registered rows."""
    return f"{known.dataset.replace('/', '--')}@{known.commit}.jsonl"


def origin_of(path: Path) -> str:
    """`owner/name@commit` of a file that `fetch` made, empty for any other."""
    match = _FILE.fullmatch(path.name)
    return f"{match['owner']}/{match['name']}@{match['commit']}" if match else ""


def read(path: Path) -> Iterator[tuple[str, TrainingRow]]:
    """The rows of a file, JSON lines unless its name says else, each with its place.

    Raises DataError that names file, place and column.
    """
    for place, row in read_rows(path, otherwise=".jsonl"):
        yield place, accept(row, f"{path}, {place}")


def accept(row: Mapping[str, object], place: str) -> TrainingRow:
    """A row with its three columns as texts; an `input` may be missing or null, as Parquet writes none.

    An `output` may be empty, as it is in some rows of the official training sets.
    """
    values = {"input": ""} | {name: value for name, value in row.items() if value is not None}
    for column in COLUMNS:
        if not isinstance(values.get(column), str):
            raise DataError(f"{place}, column {column!r}: expected text, found {values.get(column)!r:.80}")
    others = ((k, str(v)) for k, v in values.items() if k not in COLUMNS and isinstance(v, str | int | float))
    instruction, given, output = (str(values[column]) for column in COLUMNS)
    return TrainingRow(instruction, given, output, tuple(others))


def digest_of(rows: Iterable[TrainingRow]) -> str:
    """SHA-256 of the three columns of each row as canonical JSON lines, in order."""
    digest = _Digest()
    for row in rows:
        digest.add(row)
    return digest.hexdigest()


class _Digest:
    def __init__(self) -> None:
        self._sum = hashlib.sha256()

    def add(self, row: TrainingRow) -> None:
        columns = {"instruction": row.instruction, "input": row.input, "output": row.output}
        line = json.dumps(columns, sort_keys=True, ensure_ascii=False)
        self._sum.update(line.encode("utf-8", "surrogatepass") + b"\n")

    def hexdigest(self) -> str:
        return self._sum.hexdigest()


def _data_files(files: Mapping[str, int]) -> list[str]:
    """The files of the training rows: of the best kind there is, of a split `train` if any is named so."""
    for suffix in _SUFFIXES:
        found = sorted(
            name for name in files if name.endswith(suffix) and PurePosixPath(name).name not in _NO_ROWS
        )
        if found:
            return [name for name in found if _is_train(PurePosixPath(name))] or found
    return []


def _is_train(name: PurePosixPath) -> bool:
    return name.name.startswith("train") or "train" in name.parts[:-1]


def _write(path: Path, rows: Iterable[Row]) -> None:
    """Write rows with their columns of text and numbers, whole or not at all."""
    draft = path.with_name(f"{path.name}.{os.getpid()}.partial")  # other workers may fetch it too
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with draft.open("w", encoding="utf-8") as lines:
            for row in rows:
                plain = {name: value for name, value in row.items() if isinstance(value, str | int | float)}
                lines.write(json.dumps(plain) + "\n")
        draft.replace(path)
    except OSError as error:
        draft.unlink(missing_ok=True)
        raise DataError(f"the training set cannot be kept as {path}: {error.strerror}") from error
