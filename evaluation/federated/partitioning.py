"""Which client holds which rows: the split of the training data, by flwr-datasets, and its picture."""

from __future__ import annotations

import random
import warnings
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from evaluation.errors import DataError
from evaluation.federated.config import FederatedConfig, Partition
from evaluation.federated.data import TrainingData
from evaluation.wire.training import Shares

if TYPE_CHECKING:
    from flwr_datasets.partitioner import Partitioner

# What a picture tells apart at most; the rarer values of a column are counted together.
SHOWN_VALUES = 12
OTHER_VALUES = "other"
_BAR = 40


@dataclass(frozen=True)
class Split:
    """Positions of rows: those that each client trains on, those that nobody does, and each client's own of
    the latter kind. Disjoint and complete.
    """

    clients: tuple[tuple[int, ...], ...]
    held_out: tuple[int, ...]
    own_held_out: tuple[tuple[int, ...], ...] = ()


def split(config: FederatedConfig, data: TrainingData) -> Split:
    """Share the rows of `data` as `config` says; the same again for the same rows, settings and seed.

    Raises DataError when a client would get no row, or a row lacks the column that decides.
    """
    column = config.partition.column if config.partition.kind in ("dirichlet", "natural", "label") else None
    values = data.column(column) if column else ("",) * len(data.rows)
    division = _split(config.partition, values, config.clients, config.held_out, config.seed)
    return _keeping(division, config.own_held_out) if config.own_held_out else division


def _keeping(division: Split, rows: int) -> Split:
    """The same with the last rows of each client, which the shuffle put there, kept from its training."""
    for client, part in enumerate(division.clients):
        if len(part) <= rows:
            raise DataError(
                f"client {client} has {len(part)} rows, of which {rows} cannot be kept for its loss"
            )
    kept = tuple(part[-rows:] for part in division.clients)
    return Split(tuple(part[:-rows] for part in division.clients), division.held_out, kept)


@lru_cache(maxsize=4)
def _split(partition: Partition, values: tuple[str, ...], clients: int, held_out: int, seed: int) -> Split:
    trained = len(values) - held_out
    if trained < clients:
        kept = f" but the {held_out} held out" if held_out else ""
        raise DataError(f"{clients} clients cannot share the {len(values)} rows{kept}")
    order = list(range(len(values)))
    random.Random(seed).shuffle(order)  # noqa: S311 - reproducible, not secret
    positions = order[:trained]
    parts = _parts(partition, [values[position] for position in positions], clients, seed)
    shared = tuple(tuple(positions[place] for place in part) for part in parts)
    return Split(shared, tuple(order[trained:]))


def _parts(partition: Partition, values: Sequence[str], clients: int, seed: int) -> list[list[int]]:
    """For each client the places in `values` that it gets."""
    if partition.kind == "label":
        return _by_label(partition, values, clients, seed)
    # Imported here because it brings plotting libraries that only those who share rows should wait for.
    from datasets import Dataset
    from flwr_datasets import partitioner

    codes = {value: code for code, value in enumerate(sorted(set(values)))}  # NumPy cuts texts off at NUL
    rows = Dataset.from_dict({"place": range(len(values)), "value": [codes[value] for value in values]})
    if partition.kind == "dirichlet":
        assert partition.alpha is not None
        by_label = partitioner.DirichletPartitioner(
            clients, "value", partition.alpha, min_partition_size=1, seed=seed
        )
        return _drawn(by_label, rows, clients, partition)
    if partition.kind == "size":
        assert partition.alpha is not None
        return _loaded(partitioner.SizePartitioner(_sizes(len(values), clients, partition.alpha, seed)), rows)
    if partition.kind == "natural":
        if len(codes) < clients:
            raise DataError(
                f"column {partition.column!r} has {len(codes)} values, too few for {clients} clients"
            )
        return _dealt(_loaded(partitioner.NaturalIdPartitioner("value"), rows), clients, seed)
    return _loaded(partitioner.IidPartitioner(clients), rows)


def _by_label(partition: Partition, values: Sequence[str], clients: int, seed: int) -> list[list[int]]:
    """The values, shuffled and dealt to the clients; each value's rows in turn to those that hold it."""
    assert partition.labels is not None
    order = sorted(set(values))
    if not len(order) <= clients * partition.labels or partition.labels > len(order):
        raise DataError(
            f"{clients} clients with {partition.labels} values each cannot hold the {len(order)} values of "
            f"column {partition.column!r}, all of them and none twice on one client"
        )
    random.Random(seed).shuffle(order)  # noqa: S311 - reproducible, not secret
    holders: dict[str, list[int]] = {value: [] for value in order}
    for place in range(clients * partition.labels):
        holders[order[place % len(order)]].append(place // partition.labels)
    parts: list[list[int]] = [[] for _ in range(clients)]
    seen: Counter[str] = Counter()
    for place, value in enumerate(values):
        parts[holders[value][seen[value] % len(holders[value])]].append(place)
        seen[value] += 1
    lacking = next((client for client, part in enumerate(parts) if not part), None)
    if lacking is not None:
        raise DataError(f"client {lacking} would get no row: its values have fewer rows than clients")
    return parts


def _drawn(by_label: Partitioner, rows: Any, clients: int, partition: Partition) -> list[list[int]]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it warns of each draw that leaves a client without rows
            return _loaded(by_label, rows)
    except ValueError as error:
        raise DataError(
            f"with alpha {partition.alpha:g} ten draws left one of {clients} clients without rows; "
            "use a larger alpha or fewer clients"
        ) from error


def _loaded(partitioner: Partitioner, rows: Any) -> list[list[int]]:
    partitioner.dataset = rows
    return [list(partitioner.load_partition(client)["place"]) for client in range(partitioner.num_partitions)]


def _sizes(rows: int, clients: int, alpha: float, seed: int) -> list[int]:
    """How many rows each client gets: one, and of the rest a share drawn from a Dirichlet distribution."""
    import numpy

    shares = numpy.random.default_rng(seed).dirichlet([alpha] * clients)
    cuts = [0, *(int(cut) for cut in numpy.cumsum(shares)[:-1] * (rows - clients)), rows - clients]
    return [1 + end - start for start, end in pairwise(cuts)]


def _dealt(groups: list[list[int]], clients: int, seed: int) -> list[list[int]]:
    """Whole groups, shuffled and dealt in turn, so that all clients hold about as many groups."""
    random.Random(seed).shuffle(groups)  # noqa: S311 - reproducible, not secret
    return [[place for group in groups[client::clients] for place in group] for client in range(clients)]


def shares(division: Split, data: TrainingData, column: str | None) -> Shares:
    """Count each client's rows by the value of `column`. Raises DataError when a row lacks it."""
    values = data.column(column) if column else ("",) * len(data.rows)
    common = [value for value, _ in Counter(values).most_common(SHOWN_VALUES + 1)]
    named = sorted(common if len(common) <= SHOWN_VALUES else common[: SHOWN_VALUES - 1])
    known = {value: place for place, value in enumerate(named)}
    rest = len(named) < len(common)
    counts = []
    for client in division.clients:
        row = [0] * (len(named) + rest)
        for position in client:
            row[known.get(values[position], len(named))] += 1
        counts.append(tuple(row))
    shown = (*named, OTHER_VALUES) if rest else tuple(named)
    return Shares(column, shown, tuple(counts), len(division.held_out))


def bars(picture: Shares) -> list[str]:
    """The picture as lines of text: a bar of each client's rows, then its counts by value."""
    most = max(picture.rows)
    width = len(str(most))
    lines = [f"rows a client, by {picture.column}" if picture.column else "rows a client"]
    for client, (rows, counts) in enumerate(zip(picture.rows, picture.counts, strict=True)):
        bar = "█" * max(1, round(_BAR * rows / most))
        named = zip(picture.values, counts, strict=True)
        parts = ", ".join(f"{value} {count}" for value, count in named if count) if picture.column else ""
        lines.append(f"{client:>6}  {rows:>{width}}  {bar:<{_BAR}}  {parts}".rstrip())
    if picture.held_out:
        lines.append(f"  kept {picture.held_out:>{width}} rows held out, never trained on")
    return lines
