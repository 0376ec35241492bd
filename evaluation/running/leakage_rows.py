"""Which rows a test of membership looks at: some that were trained on, and others of the same source.

Of a training of this software it is known who held which row: members are rows of clients that took part, the
others those that the run held out. Of any other adapter its team states that it trained on the challenge's
set: then the whole set counts as trained on, and the others are benchmark items of the same sources, asked in
the training set's words. Only finance has such: the rest of FPB, FiQA and TFNS is in its training set.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from evaluation import data
from evaluation.benchmarks import BENCHMARKS
from evaluation.data.register import Given
from evaluation.data.training import TrainingRow
from evaluation.errors import DataError
from evaluation.federated import data as training_data
from evaluation.federated import partitioning
from evaluation.federated.config import FederatedConfig
from evaluation.leakage.canaries import Canary, canaries_of
from evaluation.leakage.sources import FEWEST, SAME_SOURCE
from evaluation.method.strategies import get
from evaluation.rules import protocol as protocols
from evaluation.wire.registration import Registration

ROWS = 500
"""Of each kind at most."""

_SENTIMENT = re.compile(r"Instruction: (?P<asked>[^\n]*)\nInput: (?P<text>.*)\nAnswer: ", re.DOTALL)


@dataclass(frozen=True)
class Looked:
    """A row that is looked at. `client` held it, where that is known."""

    row: TrainingRow
    is_member: bool
    client: int | None = None


@dataclass(frozen=True)
class Rows:
    """What is looked at, and the canaries of clients that took part."""

    looked: tuple[Looked, ...]
    canaries: tuple[Canary, ...] = ()


def of_run(config: FederatedConfig, took_part: Iterable[int]) -> Rows:
    """Of a training here. Raises DataError where it held too few rows out, or its clients have too few."""
    read = training_data.read(config.train_data)
    division = partitioning.split(config, read)
    whole = get(config.strategy).cohort == "one"
    clients = range(config.clients) if whole else sorted(set(took_part))
    share = -(-ROWS // max(1, len(clients)))
    members = [
        Looked(read.rows[position], True, client)
        for client in clients
        for position in _some(division.clients[client], share, config.seed)
    ]
    others = [Looked(read.rows[position], False) for position in _some(division.held_out, ROWS, config.seed)]
    held = canaries_of(config.seed, config.clients, config.canaries)
    return Rows(_enough(members, others), tuple(one for one in held if one.client in set(clients)))


def declared(
    challenge: str, number: int, rows: Path, items: str | None, registered: Sequence[Registration]
) -> Rows:
    """Of an adapter whose team states that it was trained on the challenge's set.

    Raises DataError for a challenge without benchmarks of the same sources.
    """
    others = []
    for slug in SAME_SOURCE.get(challenge, ()):
        dataset = data.load(
            BENCHMARKS[slug], items, protocols.get(number), None, register=Given(registered), fetch=False
        )
        for sample in dataset.samples:
            if not sample.leaked and (match := _SENTIMENT.fullmatch(sample.prompt)):
                others.append(TrainingRow(match["asked"], match["text"], sample.target))
    members, untrained = _asked_alike(training_data.read(rows).rows, others)
    return Rows(_enough([Looked(row, True) for row in members], [Looked(row, False) for row in untrained]))


def _asked_alike(
    members: Sequence[TrainingRow], others: Sequence[TrainingRow]
) -> tuple[list[TrainingRow], list[TrainingRow]]:
    """As many of either kind for each instruction: rows that ask otherwise would be told by that alone."""
    asked = sorted({row.instruction for row in others})
    share = -(-ROWS // max(1, len(asked)))
    kinds: tuple[list[TrainingRow], list[TrainingRow]] = ([], [])
    for instruction in asked:
        alike = [[row for row in rows if row.instruction == instruction] for rows in (members, others)]
        count = min(share, *map(len, alike))
        for kind, rows in zip(kinds, alike, strict=True):
            kind += [rows[place] for place in _some(range(len(rows)), count, 0)]
    return kinds


def _some(positions: Sequence[int], count: int, seed: int) -> list[int]:
    """So many of them, chosen by a digest: the same whatever else is there."""

    def digest(position: int) -> bytes:
        return hashlib.sha256(f"{seed}/{position}".encode()).digest()

    return sorted(sorted(positions, key=digest)[:count])


def _enough(members: Sequence[Looked], others: Sequence[Looked]) -> tuple[Looked, ...]:
    if min(len(members), len(others)) < FEWEST:
        raise DataError(
            f"membership cannot be tested with {len(members)} rows that were trained on and {len(others)} of "
            f"the same source that were not: {FEWEST} of each are needed"
        )
    return (*members, *others)
