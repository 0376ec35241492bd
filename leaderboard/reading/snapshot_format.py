"""A snapshot of a board, and how it is kept in the cache."""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any, TypeVar

from evaluation.statistics import Settled
from leaderboard.reading.kept import Kind, plain
from leaderboard.standing.entries import Standing
from leaderboard.standing.preference import leader

_MOST_DERIVED = 48
_T = TypeVar("_T")


class Derived:
    """What was found out about a snapshot, the most recently used: it goes when the snapshot goes."""

    def __init__(self) -> None:
        self._kept: OrderedDict[Hashable, Any] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: Hashable, make: Callable[[], _T]) -> _T:
        """What `make` gives, which depends on the snapshot and the key alone."""
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                known: _T = self._kept[key]
                return known
        made = make()
        with self._lock:
            self._kept[key] = made
            while len(self._kept) > _MOST_DERIVED:
                self._kept.popitem(last=False)
        return made


@dataclass(frozen=True, eq=False)  # by identity: comparing would look at every score
class Snapshot:
    """A challenge's board under one protocol as it stands, or stood at some moment.

    `version` changes with the content. `protocols` are those that the challenge has boards of, the site's own
    first.
    """

    challenge: str
    protocol: int
    protocols: tuple[int, ...]
    version: str
    built_at: datetime
    standings: tuple[Standing, ...]

    @cached_property
    def derived(self) -> Derived:
        return Derived()

    @cached_property
    def by_id(self) -> Mapping[int, Standing]:
        """Of a mean over runs by the number of each run."""
        found = {standing.entry.id: standing for standing in self.standings}
        return found | {run.id: standing for standing in self.standings for run in standing.entry.runs}

    @cached_property
    def leader(self) -> Standing | None:
        """What stands first."""
        return leader(self.standings)


def make(
    challenge: str,
    built_at: datetime,
    standings: Iterable[Standing],
    *,
    protocol: int,
    protocols: tuple[int, ...],
) -> Snapshot:
    """The snapshot of these standings."""
    placed = tuple(standings)
    version = hashlib.sha256(plain((protocol, protocols, placed))).hexdigest()[:16]
    return Snapshot(challenge, protocol, protocols, version, built_at, placed)


BOARDS = Kind("board", Snapshot, number=11, seconds=None)
"""The boards as they stand, by challenge and protocol."""
SETTLED: Kind[dict[str, Settled]] = Kind("settled-pairs", dict[str, Settled], number=2, seconds=None)
"""What the last build of a board settled of its entries' pairs, by ranking."""
PAST_BOARDS = Kind("past-board", Snapshot, number=11, seconds=3600)
"""Those of the past, by what was on them."""
