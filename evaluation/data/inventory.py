"""What benchmark data there is: for operators, before an evaluation finds out."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from evaluation.benchmarks import BENCHMARKS, Benchmark
from evaluation.data.dataset import load
from evaluation.data.official import hold
from evaluation.data.register import Given, Register
from evaluation.data.sources import read
from evaluation.errors import DataError, HubError
from evaluation.rules import protocol


@dataclass(frozen=True)
class Holding:
    """The data of one benchmark in one place.

    `items` of `official_items` are there; `reasons` say why they are not official. Where they cannot be had,
    `items`, `digest` and `source` are None, and the only reason says why.
    """

    benchmark: str
    items: int | None
    official_items: int
    digest: str | None
    official: bool
    reasons: tuple[str, ...]
    leaked: int
    source: str | None

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def describe(
    location: str | Path | None,
    *,
    fetch: bool = False,
    benchmarks: Sequence[Benchmark] = tuple(BENCHMARKS.values()),
    register: Register | None = None,
) -> list[Holding]:
    """What a data folder, `demonstration`, or for None the hub's cache holds of each benchmark.

    With `fetch`, what the cache lacks is fetched first.
    """
    return [_holding(benchmark, location, fetch, register) for benchmark in benchmarks]


def _holding(
    benchmark: Benchmark, location: str | Path | None, fetch: bool, register: Register | None
) -> Holding:
    try:
        rules = protocol.asking(benchmark.slug) or protocol.CURRENT
        dataset = load(benchmark, location, rules, None, fetch=fetch, register=register)
    except (DataError, HubError) as error:
        return Holding(benchmark.slug, None, benchmark.rows, None, False, (str(error),), 0, None)
    return Holding(
        benchmark.slug,
        dataset.available,
        benchmark.rows,
        dataset.digest,
        not dataset.unofficial,
        dataset.unofficial,
        sum(sample.leaked for sample in dataset.samples),
        dataset.source,
    )


def export(
    location: str | Path | None,
    folder: Path,
    *,
    benchmarks: Sequence[Benchmark] = tuple(BENCHMARKS.values()),
    register: Register | None = None,
) -> list[Path]:
    """Write the data of benchmarks as a data folder of JSONL files, for machines without a network.

    `location` None fetches what the hub's cache lacks, and records in the register as `load` does. Only the
    columns that a benchmark reads are written, and its ids. A stand-in keeps its own name. Raises DataError,
    also rather than replace a file; HubError.
    """
    folder.mkdir(parents=True, exist_ok=True)
    written: list[Path] = []
    for benchmark in {benchmark.file: benchmark for benchmark in benchmarks}.values():
        source = hold(benchmark, location, register or Given()).source
        target = folder / f"{benchmark.stand_in if source.stand_in else benchmark.file}.jsonl"
        if target.exists():
            raise DataError(f"{target} exists; choose an empty folder")
        names = [column.name for column in benchmark.columns]
        if benchmark.id_column is not None:
            names.append(benchmark.id_column)
        lines = [
            json.dumps({name: row[name] for name in names if name in row}) for row in read(benchmark, source)
        ]
        target.write_text("\n".join(lines) + "\n", encoding="utf-8")
        written.append(target)
    return written
