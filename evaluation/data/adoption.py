"""Adopting rows: somebody looks at what the hub has, and from then on these are a data set's own.

Benchmarks whose data set is pinned to a commit need nobody: their rows are taken at first sight.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from evaluation.benchmarks import BENCHMARKS, Benchmark
from evaluation.benchmarks.samples import Row
from evaluation.data import training
from evaluation.data.official import examine, official_rows, registration
from evaluation.data.sources import locate
from evaluation.errors import DataError
from evaluation.hub import fetching
from evaluation.names import lookup
from evaluation.rules.challenges import CHALLENGES, TrainingSet
from evaluation.wire.registration import Registration

_INSTEAD = "adopt where there is a network"
_SHOWN = 3


@dataclass(frozen=True)
class Candidate:
    """Rows that may be adopted, with some of them to look at. `revision` is what the hub was asked for."""

    registration: Registration
    revision: str
    sample: tuple[Row, ...]


def candidate(name: str, by: str) -> Candidate:
    """What the hub has for a benchmark or a training set at this moment.

    Raises UnknownNameError, DataError where there is nothing to adopt, HubError.
    """
    sets = {challenge.training_set.hub_id: challenge.training_set for challenge in CHALLENGES.values()}
    known: dict[str, Benchmark | TrainingSet] = {**BENCHMARKS, **sets}
    found = lookup("benchmark or training set", name, known)
    if isinstance(found, TrainingSet):
        rows, registered = training.look_up(found)
        return Candidate(replace(registered, by=by), training.BRANCH, _some(rows))
    return _of_benchmark(found, by)


def _of_benchmark(benchmark: Benchmark, by: str) -> Candidate:
    if benchmark.digest is not None:
        raise DataError(
            f"the official digest of {benchmark.title} is part of this project ({benchmark.digest[:12]}): "
            "there is nothing to adopt"
        )
    hub = benchmark.hub
    commit = fetching.list_files(hub.dataset, hub.revision, instead=_INSTEAD).commit
    held = examine(benchmark, locate(benchmark, None, commit=commit))
    if not held.is_complete:
        raise DataError(
            f"{benchmark.title} has {benchmark.rows:,} items from {official_rows(benchmark):,} rows; "
            f"{held.source.title} gives {len(held.items.rows):,} from {held.items.of:,}. Nothing was adopted"
        )
    columns = [column.name for column in benchmark.columns]
    rows = [{name: row[name] for name in columns} for row in held.items.rows]
    return Candidate(registration(held, by), hub.revision, _some(rows))


def _some(rows: Sequence[Row]) -> tuple[Row, ...]:
    """The first row, one from the middle, and the last."""
    places = sorted({i * (len(rows) - 1) // (_SHOWN - 1) for i in range(_SHOWN)})
    return tuple(rows[place] for place in places)
