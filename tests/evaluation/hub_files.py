"""Rows of benchmarks in the files that their data sets have on the hub."""

from __future__ import annotations

import csv
import io
import json
import zipfile
from collections.abc import Callable, Mapping
from typing import Any

import pyarrow
import pyarrow.parquet

from evaluation.benchmarks import Benchmark
from evaluation.hub.fetching import is_commit
from tests.evaluation.hub_server import COMMIT, HubServer

Rows = list[dict[str, Any]]


def parquet(rows: Rows) -> bytes:
    buffer = io.BytesIO()
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), buffer)
    return buffer.getvalue()


def mmlu_on_the_hub(rows: Rows) -> list[bytes]:
    by_subject = sorted(rows, key=lambda row: row["subset"], reverse=True)
    return [
        parquet(
            [
                {
                    "question": row["input"],
                    "subject": row["subset"],
                    "choices": [row[letter] for letter in "ABCD"],
                    "answer": "ABCD".index(row["target"]),
                }
                for row in by_subject
            ]
        )
    ]


def fpb_on_the_hub(rows: Rows) -> list[bytes]:
    names = ("negative", "neutral", "positive")
    text = "".join(f"{row['sentence']}@{names[row['label']]}\r\n" for row in rows)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("FinancialPhraseBank-v1.0/README.txt", "x@y")
        archive.writestr("FinancialPhraseBank-v1.0/Sentences_50Agree.txt", text.encode("iso-8859-1"))
    return [buffer.getvalue()]


def tfns_on_the_hub(rows: Rows) -> list[bytes]:
    buffer = io.StringIO(newline="")
    writer = csv.DictWriter(buffer, ["text", "label"])
    writer.writeheader()
    writer.writerows(rows)
    return [buffer.getvalue().encode()]


ON_THE_HUB: dict[str, Callable[[Rows], list[bytes]]] = {
    "mmlu": mmlu_on_the_hub,
    "fpb": fpb_on_the_hub,
    "fiqa": lambda rows: [parquet(rows[:100]), parquet(rows[100:110]), parquet(rows[110:])],
    "tfns": tfns_on_the_hub,
    "pubmedqa": lambda rows: [parquet([{k: v for k, v in row.items() if k != "PUBMED_ID"} for row in rows])],
    "careqa": lambda rows: [json.dumps(rows).encode()],
}
"""Rows in their own columns, as the files of the hub hold them; others hold them as they are, in Parquet."""


def files(benchmark: Benchmark, rows: Rows) -> dict[str, bytes]:
    """The data set's files, by name, with these rows."""
    contents = ON_THE_HUB.get(benchmark.file, lambda rows: [parquet(rows)])(rows)
    return dict(zip(benchmark.hub.files, contents, strict=True))


def published(
    benchmark: Benchmark, rows: Rows, more: Mapping[str, bytes] | None = None, commit: str = COMMIT
) -> HubServer:
    """A hub with the rows as the benchmark's data set: at the commit that it names, else at `commit`."""
    revision = benchmark.hub.revision
    pinned = is_commit(revision)
    return HubServer(
        benchmark.hub.dataset,
        {**files(benchmark, rows), **(more or {})},
        kind="dataset",
        commit=revision if pinned else commit,
        branch="main" if pinned else revision,
    )


def fiqa_rows(count: int = 1_213, word: str = "rises") -> Rows:
    """Rows in FiQA's columns, by default as many as it has."""
    return [
        {"sentence": f"$AB {word} {i}", "sentiment_score": (i % 3 - 1) / 2, "format": "post"}
        for i in range(count)
    ]


def careqa_rows(count: int = 5_621) -> Rows:
    """The same for CareQA."""
    return [{"question": f"{i}?", **{f"op{n}": str(n) for n in range(1, 5)}, "cop": 1} for i in range(count)]
