"""Rows to Parquet and back, a part of them in memory at a time."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Sequence
from decimal import Decimal
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow
from pyarrow import parquet

from portal.dumps.tables import Column

ROW_GROUP = 2_000
_TYPES = {
    "count": pyarrow.int64(),
    "number": pyarrow.float64(),
    "text": pyarrow.string(),
    "truth": pyarrow.bool_(),
    "moment": pyarrow.timestamp("us", tz="UTC"),
    "day": pyarrow.date32(),
    "json": pyarrow.string(),
    "bytes": pyarrow.binary(),
    "decimal": pyarrow.string(),
}


def write(path: Path, columns: Sequence[Column], rows: Iterable[Sequence[Any]]) -> int:
    """Write the rows, whose values are in the columns' order; returns how many there were."""
    schema = pyarrow.schema([(column.name, _TYPES[column.holds]) for column in columns])
    written = 0
    with parquet.ParquetWriter(path, schema, compression="zstd") as writer:
        source = iter(rows)
        while part := list(islice(source, ROW_GROUP)):
            arrays = [
                pyarrow.array([_plain(row[at], column) for row in part], _TYPES[column.holds])
                for at, column in enumerate(columns)
            ]
            writer.write_table(pyarrow.Table.from_arrays(arrays, schema=schema))
            written += len(part)
    return written


def read(
    path: Path, columns: Sequence[Column], added: Collection[str] = ()
) -> Iterator[list[dict[str, Any]]]:
    """The rows in parts, each by column. Of the columns that the file does not have, those in `added` are
    left out, and others raise KeyError."""
    holds = {column.name: column for column in columns}
    with parquet.ParquetFile(path) as file:
        missing = holds.keys() - set(file.schema_arrow.names)
        if missing - set(added):
            raise KeyError(f"{path.name} has no column {', '.join(sorted(missing - set(added)))}")
        for batch in file.iter_batches(ROW_GROUP, columns=[*holds.keys() - missing]):
            yield [
                {name: _value(value, holds[name]) for name, value in row.items()} for row in batch.to_pylist()
            ]


def _plain(value: Any, column: Column) -> Any:
    if value is None:
        return None
    if column.holds == "json":
        return json.dumps(value, ensure_ascii=False, sort_keys=True)
    if column.holds == "bytes":
        return bytes(value)
    return str(value) if column.holds in ("decimal", "text") else value


def _value(value: Any, column: Column) -> Any:
    if value is None:
        return None
    if column.holds == "json":
        return json.loads(value)
    return Decimal(value) if column.holds == "decimal" else value
