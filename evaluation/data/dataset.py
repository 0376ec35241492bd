"""A benchmark's items, ready to be asked, and whether they are the official ones."""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from evaluation.benchmarks.definition import Benchmark
from evaluation.benchmarks.samples import Row, Sample
from evaluation.data.sources import DEMONSTRATION_FOLDER, Source, in_folder, locate, read
from evaluation.data.split import Items, choose
from evaluation.errors import DataError
from evaluation.rules.protocol import Protocol

DataKind = Literal["official", "demonstration", "other"]


@dataclass(frozen=True)
class Dataset:
    """The items of one benchmark, in its order.

    `digest` covers all items of the benchmark in these data, also those that a limit leaves out of
    `samples`; `available` is their number. `unofficial` says why a score on `samples` cannot be official:
    empty when it can. `source` names the files, with the commit where they come from the hub.
    """

    benchmark: Benchmark
    samples: tuple[Sample, ...]
    available: int
    kind: DataKind
    digest: str
    unofficial: tuple[str, ...]
    source: str


def load(
    benchmark: Benchmark,
    location: str | Path | None,
    protocol: Protocol,
    limit: int | None,
    *,
    fetch: bool = True,
) -> Dataset:
    """Read a benchmark's items from the data folder `location`, the built-in ones for `demonstration`, or the
    hub's for None, which are fetched if they are not in the cache and `fetch` allows it.

    `limit` takes the items at positions int(i * available / limit). Raises DataError, with file, line and
    column where they are known; HubError where the hub is at fault or out of reach.
    """
    source = locate(benchmark, location, fetch=fetch)
    items = choose(benchmark, read(benchmark, source))
    if not items.rows:
        raise DataError(f"{source.title} has no row for {benchmark.slug}")
    digest = digest_of(benchmark, items.rows)
    kind = _kind(benchmark, digest, source)
    samples = _samples(benchmark, items.rows, protocol)
    if kind != "demonstration" and source.stand_in is None:
        samples = [replace(s, leaked=leaked) for s, leaked in zip(samples, items.leaked, strict=True)]
    reasons = _unofficial(benchmark, kind, digest, items, source)
    if limit is not None:
        if limit < 1:
            raise DataError(f"a limit must be at least 1, not {limit}")
        if limit < len(samples):
            reasons += (f"only {limit} of {len(samples):,} items were asked",)
            samples = [samples[i * len(samples) // limit] for i in range(limit)]
    return Dataset(benchmark, tuple(samples), len(items.rows), kind, digest, reasons, source.title)


def _samples(benchmark: Benchmark, rows: Sequence[Row], protocol: Protocol) -> list[Sample]:
    samples: dict[str, Sample] = {}
    own_ids = all(isinstance(row.get(benchmark.id_column or ""), (int, str)) for row in rows)
    for position, row in enumerate(rows):
        item = row[benchmark.id_column] if own_ids and benchmark.id_column else position
        try:
            question = benchmark.ask(row, protocol)
        except DataError as error:
            raise DataError(f"{benchmark.slug}, item {item}: {error}") from error
        group = row[benchmark.group_column] if benchmark.group_column else ""
        sample = Sample(
            item, question.prompt, question.target, group, setup=question.setup, tests=question.tests
        )
        if sample.key in samples:
            raise DataError(f"{benchmark.slug}: two items have the id {item!r}")
        samples[sample.key] = sample
    return list(samples.values())


def digest_of(benchmark: Benchmark, rows: Sequence[Row]) -> str:
    """SHA-256 of the benchmark's columns of each row, as canonical JSON lines, in order.

    Only what the benchmark reads counts, in canonical form and with sorted keys, so that the same items have
    the same digest whatever their source.
    """
    digest = hashlib.sha256()
    names = [column.name for column in benchmark.columns]
    for row in rows:
        chosen = {name: row[name] for name in names}
        text = json.dumps(chosen, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
        digest.update(text.encode("utf-8", "surrogatepass") + b"\n")
    return digest.hexdigest()


@functools.cache
def _demonstration_digest(benchmark: Benchmark) -> str | None:
    source = in_folder(benchmark, DEMONSTRATION_FOLDER)
    if source is None:
        return None
    return digest_of(benchmark, choose(benchmark, read(benchmark, source)).rows)


def _kind(benchmark: Benchmark, digest: str, source: Source) -> DataKind:
    if source.stand_in is not None:
        return "other"
    if digest == benchmark.digest:
        return "official"
    return "demonstration" if digest == _demonstration_digest(benchmark) else "other"


def _unofficial(
    benchmark: Benchmark, kind: DataKind, digest: str, items: Items, source: Source
) -> tuple[str, ...]:
    title = benchmark.title
    if kind == "official":
        return ()
    if kind == "demonstration":
        return ("the items are this project's demonstration data",)
    if source.stand_in is not None:
        return (f"{source.stand_in} is a stand-in: these are not the items of {title}",)
    if benchmark.digest is not None:
        return (
            f"the items are not the official ones of {title} (digest {digest[:12]} of {len(items.rows):,} "
            f"items, official {benchmark.digest[:12]} of {benchmark.rows:,})",
        )
    unknown = f"no official digest is recorded for {title} yet"
    official_of = benchmark.quarter.of if benchmark.quarter is not None else benchmark.rows
    if (len(items.rows), items.of) == (benchmark.rows, official_of):
        return (unknown,)
    return (
        f"the items are not the official ones of {title}: {len(items.rows):,} from {items.of:,} rows, "
        f"official {benchmark.rows:,} from {official_of:,}",
        unknown,
    )
