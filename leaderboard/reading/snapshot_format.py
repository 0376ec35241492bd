"""A snapshot of a board, and how it is kept in the cache."""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict, defaultdict
from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from operator import attrgetter
from typing import Any, TypeVar

from evaluation.statistics import RankRange, Settled
from leaderboard.reading import collector
from leaderboard.reading.kept import Kind, plain
from leaderboard.standing.entries import Entry, Standing, Track, Trust
from leaderboard.standing.preference import leader

_MOST_DERIVED = 48
PAST_SECONDS = 3600
"""How long a board of the past is kept."""
_RETRAINED = (Trust.REPRODUCED, Trust.NOT_REPRODUCED)
_STRETCH = 1000
"""Numbers whose entries are one part: it is what one changed entry has written anew."""
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


Place = tuple[int, Track, int | None, RankRange | None, int | None, str]
"""A standing, with the number of its entry."""


Facts = Mapping[int, tuple[int, int | None]]
"""Of each submission that is an entry, or a run of one, its team and the evaluation that counts."""


@dataclass(frozen=True)
class Part:
    """The entries of a stretch of numbers, in their order. `digest` changes with the content."""

    digest: str
    entries: tuple[Entry, ...]

    @cached_property
    def facts(self) -> Facts:
        return facts_of(self.entries)

    @cached_property
    def retrained(self) -> Facts:
        """Of those alone of which retraining showed something."""
        return facts_of(entry for entry in self.entries if entry.trust in _RETRAINED)


@dataclass(frozen=True, eq=False)  # by identity: comparing would look at every score
class Snapshot:
    """A challenge's board under one protocol as it stands, or stood at some moment.

    `protocols` are those that the challenge has boards of, the site's own first. `beside` names the state of
    what was measured beside the boards and of untuned models' results, which entries tell of, too. `parts`
    hold the entries once more, by stretches of their numbers.
    """

    challenge: str
    protocol: int
    protocols: tuple[int, ...]
    built_at: datetime
    standings: tuple[Standing, ...]
    beside: str = ""
    parts: Mapping[int, Part] = field(default_factory=dict)

    @cached_property
    def version(self) -> str:
        """Changes with the content."""
        digests = {number: part.digest for number, part in self.parts.items()}
        return _digest((self.protocol, self.protocols, digests, self.places))

    @cached_property
    def places(self) -> tuple[Place, ...]:
        return tuple(
            (one.entry.id, one.track, one.rank, one.rank_range, one.tie_group, one.unranked_because)
            for one in self.standings
        )

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
    beside: str,
    kept: Mapping[int, Part],
) -> Snapshot:
    """The snapshot of these standings. Its parts are those `kept` of the board before, and what is beside."""
    placed = tuple(standings)
    parts = dict(sorted({**kept, **_parts(placed, kept)}.items()))
    return Snapshot(challenge, protocol, protocols, built_at, placed, beside, parts)


def facts_of(entries: Iterable[Entry]) -> Facts:
    found: dict[int, tuple[int, int | None]] = {}
    for entry in entries:
        for run in entry.runs:
            found[run.id] = entry.team_id, run.evaluation
        if not entry.runs:
            found[entry.id] = entry.team_id, entry.evaluation
    return found


def without(parts: Mapping[int, Part], entries: Iterable[Entry]) -> dict[int, Part]:
    """The parts in whose stretches none of the entries is."""
    touched = {entry.id // _STRETCH for entry in entries}
    return {number: part for number, part in parts.items() if number not in touched}


@dataclass(frozen=True)
class Index:
    """A snapshot without its entries: `parts` have their digests, `places` all else of the standings."""

    challenge: str
    protocol: int
    protocols: tuple[int, ...]
    built_at: datetime
    places: tuple[Place, ...]
    beside: str
    parts: Mapping[int, str]


@dataclass(frozen=True)
class Shelf:
    """Snapshots in the cache, in parts: of what changed, a part is written and read."""

    index: Kind[Index]
    parts: Kind[Part]

    def put(self, name: str, snapshot: Snapshot, before: Snapshot | None = None) -> None:
        """Keep a snapshot, of which the one `before` is kept under the name."""
        held = before.parts if before else {}
        for number, part in snapshot.parts.items():
            key, known = f"{name}:{number}", held.get(number)
            if known is None or known.digest != part.digest or not self.parts.has(key):
                self.parts.put(key, part)
        for number in held.keys() - snapshot.parts.keys():
            self.parts.drop(f"{name}:{number}")
        self.index.put(
            name,
            Index(
                challenge=snapshot.challenge,
                protocol=snapshot.protocol,
                protocols=snapshot.protocols,
                built_at=snapshot.built_at,
                places=snapshot.places,
                beside=snapshot.beside,
                parts={number: part.digest for number, part in snapshot.parts.items()},
            ),
        )

    def get(self, name: str, known: Snapshot | None = None) -> Snapshot | None:
        """What is kept under a name; parts that a `known` snapshot has are not read again.

        None where nothing is, or a part is not there, or is being replaced.
        """
        with collector.held_back():
            index = self.index.get(name)
            parts = self._parts(name, index, known.parts if known else {}) if index else None
            if index is None or parts is None:
                return None
            entries = {entry.id: entry for part in parts.values() for entry in part.entries}
            placed = tuple(Standing(entries[place[0]], *place[1:]) for place in index.places)
        return Snapshot(
            challenge=index.challenge,
            protocol=index.protocol,
            protocols=index.protocols,
            built_at=index.built_at,
            standings=placed,
            beside=index.beside,
            parts=parts,
        )

    def _parts(self, name: str, index: Index, held: Mapping[int, Part]) -> dict[int, Part] | None:
        found: dict[int, Part] = {}
        for number, digest in index.parts.items():
            part = held.get(number)
            if part is None or part.digest != digest:
                part = self.parts.get(f"{name}:{number}")
            if part is None or part.digest != digest:
                return None
            found[number] = part
        return found


def _parts(standings: Iterable[Standing], kept: Mapping[int, Part]) -> dict[int, Part]:
    """Those that are not kept."""
    stretches: dict[int, list[Entry]] = defaultdict(list)
    for standing in standings:
        if (number := standing.entry.id // _STRETCH) not in kept:
            stretches[number].append(standing.entry)
    found = {}
    for number, own in stretches.items():
        own.sort(key=attrgetter("id"))
        found[number] = Part(_digest(own), tuple(own))
    return found


def _digest(value: object) -> str:
    return hashlib.sha256(plain(value)).hexdigest()[:16]


BOARDS = Shelf(
    Kind("board", Index, number=12, seconds=None), Kind("board-part", Part, number=12, seconds=None)
)
"""The boards as they stand, by challenge and protocol."""
PAST_BOARDS = Shelf(
    Kind("past-board", Index, number=12, seconds=PAST_SECONDS),
    Kind("past-board-part", Part, number=12, seconds=PAST_SECONDS),
)
"""Those of the past, by what was on them."""
SETTLED: Kind[dict[str, Settled]] = Kind("settled-pairs", dict[str, Settled], number=4, seconds=None)
"""What the last build of a board settled of its entries' pairs, by ranking."""
