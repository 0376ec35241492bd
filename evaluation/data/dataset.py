"""A benchmark's items, ready to be asked, and whether they are the official ones."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from evaluation.benchmarks.definition import Benchmark
from evaluation.benchmarks.samples import Row, Sample
from evaluation.data.official import Held, digest_of, hold, official_rows
from evaluation.data.register import ADOPT, Given, Register
from evaluation.data.sources import DEMONSTRATION_FOLDER, in_folder, read
from evaluation.data.split import choose
from evaluation.errors import DataError
from evaluation.rules.protocol import Protocol

DataKind = Literal["official", "demonstration", "other"]

SMOKE_RUN_ITEMS = 20
"""Of each benchmark; in every smoke run on the same data the same ones."""


@dataclass(frozen=True)
class Dataset:
    """The items of one benchmark, in its order.

    `digest` covers all items of the benchmark in these data, also those that a limit leaves out of
    `samples`; `available` is their number. `unofficial` says why a score on `samples` cannot be official:
    empty when it can. `source` names the files, with the commit where they come from the hub; `origin` is the
    data set and commit that official rows have, wherever they were read, and empty for others.
    """

    benchmark: Benchmark
    samples: tuple[Sample, ...]
    available: int
    kind: DataKind
    digest: str
    unofficial: tuple[str, ...]
    source: str
    origin: str = ""


def load(
    benchmark: Benchmark,
    location: str | Path | None,
    protocol: Protocol,
    limit: int | None,
    *,
    fetch: bool = True,
    register: Register | None = None,
    smoke_run: bool = False,
) -> Dataset:
    """Read a benchmark's items from the data folder `location`, the built-in ones for `demonstration`, or the
    hub's for None, which are fetched if they are not in the cache and `fetch` allows it.

    `register` tells which rows are official where the project knows no digest, by default none; rows from the
    hub are recorded in it at first sight. `limit` takes the items at positions int(i * available / limit).
    A `smoke_run` asks SMOKE_RUN_ITEMS at most, of which each subject and each right answer has its share; it
    is never official.
    Raises DataError, with file, line and column where they are known, OtherRowsError for rows from the hub
    that are not the registered ones; HubError where the hub is at fault or out of reach.
    """
    held = hold(benchmark, location, register or Given(), fetch=fetch)
    items, source = held.items, held.source
    kind = _kind(held)
    samples = _samples(benchmark, items.rows, protocol)
    if kind != "demonstration" and source.stand_in is None:
        samples = [replace(s, leaked=leaked) for s, leaked in zip(samples, items.leaked, strict=True)]
    reasons = _unofficial(held, kind)
    if limit is not None and limit < 1:
        raise DataError(f"a limit must be at least 1, not {limit}")
    if smoke_run:
        reasons += ("it was a smoke run",)
        samples = _smoke_run(samples, min(SMOKE_RUN_ITEMS, limit or SMOKE_RUN_ITEMS))
    elif limit is not None and limit < len(samples):
        reasons += (f"only {limit} of {len(samples):,} items were asked",)
        samples = [samples[i * len(samples) // limit] for i in range(limit)]
    return Dataset(
        benchmark,
        tuple(samples),
        len(items.rows),
        kind,
        held.digest,
        reasons,
        source.title,
        held.origin if kind == "official" else "",
    )


def _smoke_run(samples: Sequence[Sample], number: int) -> list[Sample]:
    """So many of the samples, in their order: evenly spaced ones of all, by subject and right answer."""
    if number >= len(samples):
        return list(samples)
    alike = sorted(range(len(samples)), key=lambda at: (samples[at].group, samples[at].target, at))
    chosen = sorted(alike[i * len(samples) // number] for i in range(number))
    return [samples[position] for position in chosen]


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


@functools.cache
def _demonstration_digest(benchmark: Benchmark) -> str | None:
    source = in_folder(benchmark, DEMONSTRATION_FOLDER)
    if source is None:
        return None
    return digest_of(benchmark, choose(benchmark, read(benchmark, source)).rows)


def _kind(held: Held) -> DataKind:
    if held.source.stand_in is not None:
        return "other"
    if held.digest == held.official_digest:
        return "official"
    return "demonstration" if held.digest == _demonstration_digest(held.benchmark) else "other"


def _unofficial(held: Held, kind: DataKind) -> tuple[str, ...]:
    benchmark, items, title = held.benchmark, held.items, held.benchmark.title
    if kind == "official":
        return ()
    if kind == "demonstration":
        return ("the items are this project's demonstration data",)
    if held.source.stand_in is not None:
        return (f"{held.source.stand_in} is a stand-in: these are not the items of {title}",)
    if held.official_digest is not None:
        return (
            f"the items are not the official ones of {title} (digest {held.digest[:12]} of "
            f"{len(items.rows):,} items, official {held.official_digest[:12]} of {benchmark.rows:,})",
        )
    unknown = f"no official digest is recorded for {title} yet; `{ADOPT} {benchmark.slug}` records one"
    if held.is_complete:
        return (unknown,)
    return (
        f"the items are not the official ones of {title}: {len(items.rows):,} from {items.of:,} rows, "
        f"official {benchmark.rows:,} from {official_rows(benchmark):,}",
        unknown,
    )
