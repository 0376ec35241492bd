"""Benchmark data: reading rows from files, choosing the test items, and telling official data from other.

A data folder holds `mmlu.jsonl`, `fpb.jsonl` …, one JSON object a line with the hub's column names.
"""

from __future__ import annotations

import functools
import hashlib
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from evaluation.benchmarks.definition import Benchmark
from evaluation.errors import DataError
from evaluation.protocol import Protocol
from evaluation.samples import Row, Sample

DEMONSTRATION = "demonstration"
DEMONSTRATION_FOLDER = Path(__file__).parent / "demonstration" / "data"
_QUARTER_SEED = 42

DataKind = Literal["official", "demonstration", "other"]


@dataclass(frozen=True)
class Dataset:
    """The items of one benchmark, in its order.

    `digest` covers all items of the benchmark in these data, also those that a limit leaves out of
    `samples`; `available` is their number. `unofficial` says why a score on `samples` cannot be official:
    empty when it can.
    """

    benchmark: Benchmark
    samples: tuple[Sample, ...]
    available: int
    kind: DataKind
    digest: str
    unofficial: tuple[str, ...]


def load(benchmark: Benchmark, location: str | Path | None, protocol: Protocol, limit: int | None) -> Dataset:
    """Read a benchmark's items from the data folder `location`, or the built-in ones for `demonstration`.

    `limit` takes the items at positions int(i * available / limit). Raises DataError, with file, line and
    column where they are known.
    """
    path, stood_in = _find(benchmark, location)
    rows = _read(benchmark, path)
    digest = _digest(benchmark, rows)
    kind = _kind(benchmark, digest) if stood_in is None else "other"
    samples = _samples(benchmark, rows, protocol)
    reasons = _unofficial(benchmark, kind, digest, len(samples), stood_in)
    if limit is not None:
        if limit < 1:
            raise DataError(f"a limit must be at least 1, not {limit}")
        if limit < len(samples):
            reasons += (f"only {limit} of {len(samples):,} items were asked",)
            samples = [samples[i * len(samples) // limit] for i in range(limit)]
    return Dataset(benchmark, tuple(samples), len(rows), kind, digest, reasons)


def quarter(n: int) -> list[int]:
    """Positions of the test quarter of n rows, in its order.

    The same as `datasets.Dataset.train_test_split(0.25, seed=42)["test"]`, without that library.
    """
    import numpy

    permutation = numpy.random.default_rng(_QUARTER_SEED).permutation(n)
    return [int(position) for position in permutation[: math.ceil(n / 4)]]


def _find(benchmark: Benchmark, location: str | Path | None) -> tuple[Path, str | None]:
    """The file to read, and its name where it is only a stand-in."""
    if location is None:
        raise DataError(
            f"no data for {benchmark.slug}: give --data with a folder that holds {benchmark.file}.jsonl, or "
            f"--data {DEMONSTRATION} for the small built-in items (fetching from the hub is not built yet)"
        )
    folder = DEMONSTRATION_FOLDER if str(location) == DEMONSTRATION else Path(location)
    if not folder.is_dir():
        raise DataError(f"the data folder {folder} does not exist")
    path = folder / f"{benchmark.file}.jsonl"
    if path.is_file():
        return path, None
    if benchmark.stand_in is not None and (folder / f"{benchmark.stand_in}.jsonl").is_file():
        name = f"{benchmark.stand_in}.jsonl"
        return folder / name, name
    raise DataError(f"{path} does not exist; it would hold the rows of {benchmark.title}")


def _read(benchmark: Benchmark, path: Path) -> list[Row]:
    """The rows that are the benchmark's items, in its order."""
    rows = []
    with path.open(encoding="utf-8") as lines:
        try:
            for number, line in enumerate(lines, 1):
                if not line.strip():
                    continue
                row = _parse(benchmark, line, f"{path}, line {number}")
                if benchmark.selects(row):
                    rows.append(row)
        except UnicodeDecodeError as error:
            raise DataError(f"{path} is not UTF-8 text: {error}") from error
    if not rows:
        raise DataError(f"{path} has no row for {benchmark.slug}")
    return [rows[position] for position in quarter(len(rows))] if benchmark.quarter else rows


def _parse(benchmark: Benchmark, line: str, place: str) -> Row:
    try:
        row = json.loads(line)
    except json.JSONDecodeError as error:
        raise DataError(f"{place}: not JSON: {error}") from error
    if not isinstance(row, dict):
        raise DataError(f"{place}: not a JSON object")
    for column in benchmark.columns:
        if column.name not in row:
            raise DataError(f"{place}: there is no column {column.name!r}")
        if not column.accepts(row[column.name]):
            raise DataError(
                f"{place}, column {column.name!r}: expected {column.expected}, found {row[column.name]!r:.80}"
            )
    return row


def _samples(benchmark: Benchmark, rows: Sequence[Row], protocol: Protocol) -> list[Sample]:
    samples: dict[str, Sample] = {}
    own_ids = benchmark.id_column is not None and all(benchmark.id_column in row for row in rows)
    for position, row in enumerate(rows):
        item = row[benchmark.id_column] if own_ids and benchmark.id_column else position
        try:
            question = benchmark.ask(row, protocol)
        except DataError as error:
            raise DataError(f"{benchmark.slug}, item {item}: {error}") from error
        group = row[benchmark.group_column] if benchmark.group_column else ""
        sample = Sample(item, question.prompt, question.target, group)
        if sample.key in samples:
            raise DataError(f"{benchmark.slug}: two items have the id {item!r}")
        samples[sample.key] = sample
    return list(samples.values())


def _digest(benchmark: Benchmark, rows: Sequence[Row]) -> str:
    """SHA-256 of the benchmark's columns of each row, as canonical JSON lines, in order.

    Only what the benchmark reads counts, so that the same items have the same digest whatever their source.
    """
    digest = hashlib.sha256()
    names = [column.name for column in benchmark.columns]
    for row in rows:
        chosen = {name: row[name] for name in names}
        text = json.dumps(chosen, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
        digest.update(text.encode("utf-8", "surrogatepass") + b"\n")
    return digest.hexdigest()


@functools.cache
def _demonstration_digest(benchmark: Benchmark) -> str:
    return _digest(benchmark, _read(benchmark, DEMONSTRATION_FOLDER / f"{benchmark.file}.jsonl"))


def _kind(benchmark: Benchmark, digest: str) -> DataKind:
    if digest == benchmark.digest:
        return "official"
    return "demonstration" if digest == _demonstration_digest(benchmark) else "other"


def _unofficial(
    benchmark: Benchmark, kind: DataKind, digest: str, count: int, stood_in: str | None
) -> tuple[str, ...]:
    if kind == "official":
        return ()
    if kind == "demonstration":
        return ("the items are this project's demonstration data",)
    if stood_in is not None:
        return (f"{stood_in} is a stand-in: these are not the items of {benchmark.title}",)
    if benchmark.digest is None:
        return (f"no official digest is recorded for {benchmark.title} yet",)
    return (
        f"the items are not the official ones of {benchmark.title} "
        f"(digest {digest[:12]} of {count:,} items, official {benchmark.digest[:12]} of {benchmark.rows:,})",
    )
