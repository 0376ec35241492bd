"""Croissant 1.0 (JSON-LD of schema.org) of a board: where its file is, and what each column means.

https://docs.mlcommons.org/croissant/. A board changes: it is told as a live data set, without a digest.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from leaderboard.board.column import Field
from leaderboard.entry.citation import PAPER_BIBTEX
from leaderboard.standing.entries import Standing

_TYPES = {"number": "sc:Float", "count": "sc:Integer", "text": "sc:Text", "moment": "sc:DateTime"}
_CONTEXT: dict[str, Any] = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "conformsTo": "dct:conformsTo",
    "cr": "http://mlcommons.org/croissant/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "extract": "cr:extract",
    "field": "cr:field",
    "fileObject": "cr:fileObject",
    "fileProperty": "cr:fileProperty",
    "fileSet": "cr:fileSet",
    "format": "cr:format",
    "includes": "cr:includes",
    "isLiveDataset": "cr:isLiveDataset",
    "jsonPath": "cr:jsonPath",
    "key": "cr:key",
    "md5": "cr:md5",
    "parentField": "cr:parentField",
    "path": "cr:path",
    "recordSet": "cr:recordSet",
    "references": "cr:references",
    "regex": "cr:regex",
    "repeated": "cr:repeated",
    "replace": "cr:replace",
    "sc": "https://schema.org/",
    "separator": "cr:separator",
    "source": "cr:source",
    "subField": "cr:subField",
    "transform": "cr:transform",
}


@dataclass(frozen=True)
class BoardFile:
    """A board as a file: its page, the address of its CSV, and the fields of a row."""

    challenge: str
    title: str
    summary: str
    protocol: int
    page: str
    address: str
    built_at: datetime
    log_head: str
    fields: Sequence[Field[Standing]]


def document(board: BoardFile) -> dict[str, Any]:
    name = f"flowertune-{board.challenge}"
    head = f" Head of the site's log, size and root: {board.log_head}." if board.log_head else ""
    return {
        "@context": _CONTEXT,
        "@type": "sc:Dataset",
        "name": name,
        "description": f"The {board.title} board of a FlowerTune leaderboard, protocol {board.protocol}: "
        f"{board.summary}{head}",
        "conformsTo": "http://mlcommons.org/croissant/1.0",
        "isLiveDataset": True,
        "url": board.page,
        "version": f"{board.protocol}.0.0",
        "datePublished": board.built_at.date().isoformat(),
        "citeAs": PAPER_BIBTEX,
        "distribution": [
            {
                "@type": "cr:FileObject",
                "@id": "board.csv",
                "name": "board.csv",
                "description": "One row for each entry, with its place, scores, intervals and costs.",
                "contentUrl": board.address,
                "encodingFormat": "text/csv",
            }
        ],
        "recordSet": [
            {
                "@type": "cr:RecordSet",
                "@id": "entries",
                "name": "entries",
                "key": {"@id": "entries/entry"},
                "field": [_field(field) for field in board.fields],
            }
        ],
    }


def _field(field: Field[Standing]) -> dict[str, Any]:
    unit = f" In {field.unit}." if field.unit else ""
    return {
        "@type": "cr:Field",
        "@id": f"entries/{field.name}",
        "name": field.name,
        "description": f"{field.meaning or field.name}.{unit}",
        "dataType": _TYPES[field.holds],
        "source": {"fileObject": {"@id": "board.csv"}, "extract": {"column": field.heading}},
    }
