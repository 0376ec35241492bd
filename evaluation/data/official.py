"""What tells a benchmark's official rows: their digest, known to this project or registered."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from evaluation.benchmarks.definition import Benchmark
from evaluation.benchmarks.samples import Row
from evaluation.data.register import Register, now
from evaluation.data.sources import Source, locate, read
from evaluation.data.split import Items, choose
from evaluation.errors import DataError
from evaluation.hub.fetching import is_commit
from evaluation.wire.registration import Registration


@dataclass(frozen=True)
class Held:
    """All items of a benchmark in some data, their digest, and what is registered for the benchmark."""

    benchmark: Benchmark
    source: Source
    items: Items
    digest: str
    known: Registration | None

    @property
    def official_digest(self) -> str | None:
        """The digest of the official rows, None where nobody has recorded one."""
        return self.benchmark.digest or (self.known.digest if self.known else None)

    @property
    def origin(self) -> str:
        """The data set and commit of the official rows."""
        hub = self.benchmark.hub
        return self.known.origin if self.known else f"{hub.dataset}@{hub.revision}"

    @property
    def is_complete(self) -> bool:
        """Whether there are as many items as officially, from as many rows."""
        official = (self.benchmark.rows, official_rows(self.benchmark))
        return (len(self.items.rows), self.items.of) == official


def official_rows(benchmark: Benchmark) -> int:
    """The rows that the benchmark's items are chosen from."""
    return benchmark.quarter.of if benchmark.quarter is not None else benchmark.rows


def hold(
    benchmark: Benchmark, location: str | Path | None, register: Register, *, fetch: bool = True
) -> Held:
    """Read a benchmark's items, the hub's at the registered commit; those have the registered digest.

    Rows from the hub that this project knows no digest of are recorded: at first sight where the benchmark
    names a commit and they are as many as officially, else where somebody adopted them. Rows of a folder
    never are. Raises as `evaluation.data.load`.
    """
    known = register.of(benchmark.slug) if benchmark.digest is None else None
    if known is not None and known.dataset != benchmark.hub.dataset:
        known = None  # adopted from where this version does not take the benchmark's rows
    source = locate(benchmark, location, fetch=fetch, commit=known.commit if known else None)
    held = examine(benchmark, source, known)
    if not source.on_hub or benchmark.digest is not None:
        return held
    if known is None and not (is_commit(benchmark.hub.revision) and held.is_complete):
        return held
    return Held(benchmark, source, held.items, held.digest, _recorded(held, register))


def examine(benchmark: Benchmark, source: Source, known: Registration | None = None) -> Held:
    """The benchmark's items in a source. Raises DataError."""
    items = choose(benchmark, read(benchmark, source))
    if not items.rows:
        raise DataError(f"{source.title} has no row for {benchmark.slug}")
    return Held(benchmark, source, items, digest_of(benchmark, items.rows), known)


def registration(held: Held, by: str = "") -> Registration:
    """Rows from the hub as a register takes them."""
    benchmark, commit = held.benchmark, held.source.commit
    rows = len(held.items.rows)
    return Registration(benchmark.slug, benchmark.hub.dataset, commit, rows, held.digest, by, now())


def _recorded(held: Held, register: Register) -> Registration:
    """What the register holds afterwards. Raises OtherRowsError in its words."""
    known = held.known
    return register.record(known if known and known.digest == held.digest else registration(held))


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
