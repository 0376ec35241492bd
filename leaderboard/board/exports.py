"""A view of a board as a file: CSV, JSON or Parquet, with the units and the basis of every figure.

Values are in SI units; scores are fractions. A cost has a field `…_basis` beside it, a score `…_low` and
`…_high`, its 95% interval.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Generic

from leaderboard.board.column import Column, Field, RowT, Value
from leaderboard.board.cross_domain import By, DomainCell, DomainRow
from leaderboard.standing.entries import Entry, Standing

# What a spreadsheet takes for the beginning of a formula, full-width forms included, or for another cell.
_FORMULA = tuple("=+-@\uff1d\uff0b\uff0d\uff20")
_BREAKS = ("\t", "\r", "\n")
_PART = 500
LOG_HEAD = "log_head"
"""The fact that names the newest head of the site's log: its size and its root in base64."""


@dataclass(frozen=True)
class Export(Generic[RowT]):
    """Rows with their fields, and the `facts` that say which view of which board they are."""

    facts: tuple[tuple[str, str | int], ...]
    fields: tuple[Field[RowT], ...]
    rows: Sequence[RowT]


def fields_of(columns: Iterable[Column], address: Callable[[int], str]) -> tuple[Field[Standing], ...]:
    """The fields of a row: which entry, then those of the columns, then why it has no rank.

    `address` gives the page of an entry.
    """
    return (
        Field("entry", "count", lambda s: s.entry.id, meaning="Number of the entry"),
        Field("url", "text", lambda s: address(s.entry.id) if s.entry.has_page else None, meaning="Its page"),
        Field("track", "text", lambda s: s.track.value, meaning="Entries of one track are ranked together"),
        *(field for column in columns for field in column.fields),
        Field("base_model_id", "text", lambda s: s.entry.hub_id, meaning="On the hub"),
        Field("protocol", "count", lambda s: s.entry.protocol or None, meaning="Of the evaluation"),
        Field("precision", "text", lambda s: s.entry.precision or None, meaning="Of the evaluation"),
        Field("flags", "count", lambda s: len(s.entry.flags), meaning="Scores that are impossible"),
        Field("left", "text", lambda s: s.entry.left or None, meaning="Withdrawn or disqualified since"),
        Field("unranked_because", "text", lambda s: s.unranked_because or None, meaning="Why it has no rank"),
    )


def cross_domain_fields(
    challenges: Iterable[str], address: Callable[[int], str], by: By
) -> tuple[Field[DomainRow], ...]:
    """The fields of a row over the challenges: who, the means, and of each challenge score and place.

    A base model's row has no method and no team: its entries are of several.
    """

    def of_method(read: Callable[[Entry], str]) -> Callable[[DomainRow], str | None]:
        return lambda row: read(row.first.entry) if by is By.METHOD else None

    return (
        Field("rank", "count", lambda row: row.rank, meaning="Of rows with a figure in every challenge"),
        Field("method", "text", of_method(lambda entry: entry.method), meaning="None in rows of base models"),
        Field("team", "text", of_method(lambda entry: entry.team), meaning="None in rows of base models"),
        Field("base_model_id", "text", lambda row: row.first.entry.hub_id, meaning="On the hub"),
        Field("size", "count", lambda row: row.first.entry.parameters, "parameters", "Of the base model"),
        Field("challenges", "count", lambda row: len(row.known), meaning="In which there is a figure"),
        Field("mean_rank", "number", lambda row: row.place, meaning="Mean of the places"),
        Field("mean_score", "number", lambda row: row.average, "fraction", "Mean of the averages"),
        *(field for challenge in challenges for field in _of_challenge(challenge, address)),
    )


def csv_lines(export: Export[RowT]) -> Iterator[str]:
    """Lines of CSV (RFC 4180), the head first, which has the units in brackets.

    A text that a spreadsheet would run as a formula has an apostrophe before it. CSV has no place for facts:
    the log's head, which one wants to have kept, is a column of its own.
    """
    head = [fact for name, fact in export.facts if name == LOG_HEAD]
    yield _lines([[*(field.heading for field in export.fields), *(LOG_HEAD for _ in head)]])
    values = [field.value for field in export.fields]
    for start in range(0, len(export.rows), _PART):
        part = export.rows[start : start + _PART]
        yield _lines([*(_cell(value(row)) for value in values), *head] for row in part)


def json_parts(export: Export[RowT]) -> Iterator[str]:
    """One JSON object: the facts, the `fields` with unit and meaning, and the `entries`."""
    head = {
        **dict(export.facts),
        "fields": [
            {"name": field.name, "unit": field.unit or None, "meaning": field.meaning}
            for field in export.fields
        ],
    }
    yield json.dumps(head, ensure_ascii=False)[:-1] + ', "entries": ['
    for start in range(0, len(export.rows), _PART):
        part = [
            json.dumps({f.name: _plain(f.value(row)) for f in export.fields}, ensure_ascii=False)
            for row in export.rows[start : start + _PART]
        ]
        yield (",\n" if start else "\n") + ",\n".join(part)
    yield "\n]}\n"


def parquet(export: Export[RowT]) -> bytes:
    """A Parquet file. Facts stand in the schema's metadata, unit and meaning in those of each field."""
    import pyarrow
    from pyarrow import parquet as files

    types = {
        "number": pyarrow.float64(),
        "count": pyarrow.int64(),
        "text": pyarrow.string(),
        "moment": pyarrow.timestamp("us", tz="UTC"),
    }
    schema = pyarrow.schema(
        [
            pyarrow.field(f.name, types[f.holds], metadata={"unit": f.unit, "meaning": f.meaning})
            for f in export.fields
        ],
        metadata={name: str(fact) for name, fact in export.facts},  # it knows texts alone
    )
    columns = [
        pyarrow.array([_number(field, field.value(row)) for row in export.rows], types[field.holds])
        for field in export.fields
    ]
    sink = io.BytesIO()
    files.write_table(pyarrow.Table.from_arrays(columns, schema=schema), sink, compression="zstd")
    return sink.getvalue()


def _of_challenge(challenge: str, address: Callable[[int], str]) -> Iterator[Field[DomainRow]]:
    name = challenge.replace("-", "_")

    def of_cell(read: Callable[[DomainCell], Value | None]) -> Callable[[DomainRow], Value | None]:
        return lambda row: read(cell) if (cell := row.cells.get(challenge)) else None

    def limit(end: int) -> Callable[[DomainCell], float | None]:
        return lambda cell: found[end] if (found := cell.standing.entry.interval) else None

    yield Field(name, "number", of_cell(lambda cell: cell.average), "fraction", "Average in the challenge")
    yield Field(f"{name}_low", "number", of_cell(limit(0)), "fraction")
    yield Field(f"{name}_high", "number", of_cell(limit(1)), "fraction")
    yield Field(f"{name}_place", "count", of_cell(lambda cell: cell.place), meaning="Among these rows")
    yield Field(f"{name}_url", "text", of_cell(lambda cell: address(cell.standing.entry.id)))


def _lines(rows: Iterable[Sequence[str | float | None]]) -> str:
    buffer = io.StringIO()
    csv.writer(buffer).writerows(rows)
    return buffer.getvalue()


def _cell(value: Value | None) -> str | float | None:
    """The value as the writer takes it; it writes numbers in full and nothing for None."""
    if isinstance(value, str):
        return f"'{value}" if value.startswith(_BREAKS) or value.lstrip().startswith(_FORMULA) else value
    return _plain(value)


def _plain(value: Value | None) -> str | float | None:
    return value.isoformat() if isinstance(value, datetime) else value


def _number(field: Field[RowT], value: Value | None) -> Value | None:
    """The value as its field's type has it: costs may be whole numbers, sizes of models fractions."""
    if value is None or isinstance(value, str | datetime):
        return value
    return round(value) if field.holds == "count" else float(value)


@dataclass(frozen=True)
class Format:
    """How an export is written and sent; as a `download` browsers save it instead of showing it."""

    content_type: str
    write: Callable[[Export[Any]], Iterable[str] | bytes]
    download: bool


FORMATS = {
    "csv": Format("text/csv; charset=utf-8", csv_lines, download=True),
    "json": Format("application/json", json_parts, download=False),
    "parquet": Format("application/vnd.apache.parquet", parquet, download=True),
}
