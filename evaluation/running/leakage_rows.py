"""Which rows of a training here a test of membership looks at: some that were trained on, and others.

It is known which rows the clients took their steps on: those are the members. The others are rows of the same
clients that were never drawn, so that both kinds are of the same mix of clients, or, where these are fewer,
rows that the run held out.

A text that the training data have more than once may stand on both sides. So only those count that they have
once: with either kind so, neither is the easier one.
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from evaluation.data.training import TrainingRow
from evaluation.errors import DataError
from evaluation.federated import data as training_data
from evaluation.federated import drawn_rows, partitioning
from evaluation.federated.config import FederatedConfig
from evaluation.federated.data import TrainingData
from evaluation.federated.drawn_rows import Drawn
from evaluation.federated.partitioning import Split
from evaluation.leakage.canaries import Canary
from evaluation.leakage.sources import FEWEST

ROWS = 500
"""Of each kind at most."""


@dataclass(frozen=True)
class Looked:
    """A row that is looked at. `client` held it, where that is known."""

    row: TrainingRow
    is_member: bool
    client: int | None = None


@dataclass(frozen=True)
class Rows:
    """What is looked at, and the canaries that were drawn."""

    looked: tuple[Looked, ...]
    canaries: tuple[Canary, ...] = ()


_ByClient = Mapping[int, Sequence[int]]
"""Positions of rows."""


@dataclass(frozen=True)
class _Chosen:
    """Positions of members with their clients, and of as many others, or of others of nobody's."""

    members: tuple[tuple[int, int], ...]
    others: tuple[tuple[int | None, int], ...]

    @property
    def fewest(self) -> int:
        return min(len(self.members), len(self.others))


def of_run(config: FederatedConfig, rounds: Sequence[Iterable[int]]) -> Rows:
    """`rounds` are the clients whose replies were used, round by round from the first.

    Poisoned clients are left out: they send the reverse of what their rows taught. Raises DataError where too
    few rows of either kind are left.
    """
    read = training_data.read(config.train_data)
    division = partitioning.split(config, read)
    poisoned = config.devices.are_poisoned(config.clients, config.seed)
    drawn = drawn_rows.of_clients(config, [set(clients) - poisoned for clients in rounds])
    is_alone = _is_alone(config, read)
    members, left = _by_client(division, drawn, is_alone)
    share = -(-ROWS // max(1, len(members)))
    held_out = chosen_of([*filter(is_alone, division.held_out)], ROWS, config.seed)
    chosen = max(
        _of_the_same_clients(members, left, share, config.seed),
        _Chosen(_shares(members, share, config.seed), tuple((None, position) for position in held_out)),
        key=lambda one: (one.fewest, len(one.members)),
    )
    return Rows(
        enough(
            [Looked(read.rows[position], True, client) for client, position in chosen.members],
            [Looked(read.rows[position], False, client) for client, position in chosen.others],
        ),
        tuple(canary for one in drawn.values() for canary in one.canaries),
    )


def enough(members: Sequence[Looked], others: Sequence[Looked]) -> tuple[Looked, ...]:
    """Both kinds. Raises DataError with fewer than FEWEST of one."""
    if min(len(members), len(others)) < FEWEST:
        raise DataError(
            f"membership cannot be tested with {len(members)} rows that were trained on and {len(others)} of "
            f"the same source that were not, each text counted once: {FEWEST} of each are needed"
        )
    return (*members, *others)


def chosen_of(positions: Sequence[int], count: int, seed: int) -> list[int]:
    """So many of them, chosen by a digest: the same whatever else is there."""

    def digest(position: int) -> bytes:
        return hashlib.sha256(f"{seed}/{position}".encode()).digest()

    return sorted(sorted(positions, key=digest)[:count])


def _is_alone(config: FederatedConfig, read: TrainingData) -> Callable[[int], bool]:
    """Whether the training data have the text of the row at a position once."""
    texts = [config.form.prompt(row.instruction, row.input) + row.output for row in read.rows]
    found = Counter(texts)
    return lambda position: found[texts[position]] == 1


def _by_client(
    division: Split, drawn: Mapping[int, Drawn], is_alone: Callable[[int], bool]
) -> tuple[_ByClient, _ByClient]:
    """What was trained on, and what of the same clients was not; one that stands for all has theirs."""
    holders = {position: client for client, part in enumerate(division.clients) for position in part}
    members, left = defaultdict[int, list[int]](list), defaultdict[int, list[int]](list)
    for client, one in drawn.items():
        kept = division.own_held_out[client] if division.own_held_out else ()
        for kind, positions in ((members, one.trained_on), (left, (*one.left, *kept))):
            for position in filter(is_alone, positions):
                kind[holders.get(position, client)].append(position)
    return members, left


def _shares(rows: _ByClient, share: int, seed: int) -> tuple[tuple[int, int], ...]:
    return tuple((client, one) for client, own in rows.items() for one in chosen_of(own, share, seed))


def _of_the_same_clients(members: _ByClient, left: _ByClient, share: int, seed: int) -> _Chosen:
    """As many rows of either kind of each client."""
    counts = {client: min(share, len(own), len(left.get(client, ()))) for client, own in members.items()}
    kinds = [
        tuple(
            (client, position)
            for client, count in counts.items()
            for position in chosen_of(rows.get(client, ()), count, seed)
        )
        for rows in (members, left)
    ]
    return _Chosen(kinds[0], kinds[1])
