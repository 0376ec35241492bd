"""The site's register of digests: what the workers' data are held against, and what everybody may read."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from evaluation.benchmarks import BENCHMARKS, Benchmark
from evaluation.data.register import RegisterFile, same
from evaluation.errors import DataError
from evaluation.rules.challenges import CHALLENGES
from evaluation.wire.evaluating import Scored
from evaluation.wire.registration import Registration
from portal.runs.models import DataRegistration, Score


class SiteRegister:
    """What `evaluation.data` asks of a register, from the database: one for all workers.

    What somebody adopted on this machine with `python -m evaluation data --adopt` is taken over when its name
    is first asked for.
    """

    def of(self, name: str) -> Registration | None:
        row = DataRegistration.objects.filter(name=name).first()
        if row is not None:
            return row.registration
        adopted = RegisterFile().of(name)
        return self.record(adopted) if adopted is not None else None

    def record(self, found: Registration) -> Registration:
        """Register rows unless their name is taken. Raises OtherRowsError where it is, by other rows."""
        row, _ = DataRegistration.objects.get_or_create(
            name=found.name,
            defaults={
                "dataset": found.dataset,
                "commit": found.commit,
                "rows": found.rows,
                "digest": found.digest,
                "adopted_by": found.by[:120],
                "registered_at": datetime.fromisoformat(found.at),
            },
        )
        remedy = (
            "To have the new rows instead, staff delete its registration in the administration, which they "
            "can while no official score rests on it."
        )
        return same(row.registration, found, remedy)

    def known(self, names: Iterable[str]) -> tuple[Registration, ...]:
        """Those of the benchmarks that are registered and of which the project knows no digest."""
        asked = [name for name in names if BENCHMARKS[name].digest is None]
        return tuple(found for name in asked if (found := self.of(name)) is not None)


def check(scored: Scored, worker: str) -> None:
    """Raises DataError for a score that calls other rows official than the register does."""
    if not scored.official or BENCHMARKS[scored.benchmark].digest is not None:
        return
    row = DataRegistration.objects.filter(name=scored.benchmark).first()
    if row is not None and row.digest != scored.data_digest:
        raise DataError(
            f"{worker} evaluated {scored.benchmark} on other rows than the registered ones: recorded digest "
            f"{row.digest[:12]} of {row.rows:,} rows, found {scored.data_digest[:12]} of "
            f"{scored.available:,}. Restart that worker, with this site's version and the same hub, and "
            "evaluate again."
        )


def is_used(registration: DataRegistration) -> bool:
    """Whether official scores rest on these rows."""
    return Score.objects.filter(
        benchmark=registration.name, data_digest=registration.digest, official=True
    ).exists()


@dataclass(frozen=True)
class Line:
    """What the site says of a benchmark's rows or a training set's.

    `basis` is `project` for a digest that is part of this software, `register` for one recorded on this site;
    None where there is none, and then nothing else is known.
    """

    name: str
    holds: Literal["benchmark", "training set"]
    dataset: str
    basis: Literal["project", "register"] | None = None
    commit: str | None = None
    rows: int | None = None
    digest: str | None = None
    adopted_by: str = ""
    registered_at: datetime | None = None


def lines() -> list[Line]:
    """Every benchmark and every training set, in board order."""
    rows = {row.name: row for row in DataRegistration.objects.all()}
    sets = [challenge.training_set.hub_id for challenge in CHALLENGES.values()]
    return [
        *(_of_benchmark(benchmark, rows.get(slug)) for slug, benchmark in BENCHMARKS.items()),
        *(_registered(name, "training set", name, rows.get(name)) for name in sets),
    ]


def line(benchmark: Benchmark) -> Line:
    """That of one benchmark."""
    return _of_benchmark(benchmark, DataRegistration.objects.filter(name=benchmark.slug).first())


def _of_benchmark(benchmark: Benchmark, row: DataRegistration | None) -> Line:
    hub = benchmark.hub
    if benchmark.digest is None:
        return _registered(benchmark.slug, "benchmark", hub.dataset, row)
    return Line(
        benchmark.slug, "benchmark", hub.dataset, "project", hub.revision, benchmark.rows, benchmark.digest
    )


def _registered(
    name: str, holds: Literal["benchmark", "training set"], dataset: str, row: DataRegistration | None
) -> Line:
    if row is None:
        return Line(name, holds, dataset)
    return Line(
        name,
        holds,
        row.dataset,
        "register",
        row.commit,
        row.rows,
        row.digest,
        row.adopted_by,
        row.registered_at,
    )
