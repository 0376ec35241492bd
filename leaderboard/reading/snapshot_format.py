"""A snapshot of a board, and its form in the cache: compressed JSON, which unlike a pickle holds no code."""

from __future__ import annotations

import hashlib
import json
import threading
import zlib
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from functools import cached_property
from typing import Any, TypeVar

from evaluation.statistics import RankRange
from leaderboard.standing.entries import BenchmarkScore, Cost, Entry, Flag, Standing, Track, Trust

FORMAT = 7
"""Raised with every change of what is stored, so that another version's snapshots are not read."""


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
    """A board as it stands, or stood at some moment. `version` changes with the content."""

    challenge: str
    version: str
    built_at: datetime
    standings: tuple[Standing, ...]

    @cached_property
    def derived(self) -> Derived:
        return Derived()

    @cached_property
    def by_id(self) -> Mapping[int, Standing]:
        return {standing.entry.id: standing for standing in self.standings}

    @cached_property
    def protocol(self) -> int | None:
        """The protocol of the evaluated entries; None where there are none."""
        return max((s.entry.protocol for s in self.standings if s.entry.protocol), default=None)

    @cached_property
    def leader(self) -> Standing | None:
        """What stands first: of the ranked; without any of the declared; else of those with an average."""
        ranked = (s for s in self.standings if s.rank == 1)
        declared = (s for s in self.standings if s.track is Track.DECLARED and not s.entry.flags)
        complete = (s for s in self.standings if s.entry.average is not None)
        return next(ranked, None) or next(declared, None) or next(complete, None)


def make(challenge: str, built_at: datetime, standings: Iterable[Standing]) -> tuple[Snapshot, bytes]:
    """The snapshot of these standings, and what is stored of it."""
    placed = tuple(standings)
    rows = _rows(placed)
    version = hashlib.sha256(rows).hexdigest()[:16]
    snapshot = Snapshot(challenge, version, built_at, placed)
    return snapshot, _compressed(snapshot, rows)


def dump(snapshot: Snapshot) -> bytes:
    return _compressed(snapshot, _rows(snapshot.standings))


def load(kept: bytes) -> Snapshot:
    """What `dump` made of this FORMAT."""
    head, _, rows = zlib.decompress(kept).partition(b"\n")
    challenge, version, built_at = json.loads(head)
    return Snapshot(
        challenge,
        version,
        datetime.fromisoformat(built_at),
        tuple(_read_standing(row) for row in json.loads(rows)),
    )


def _compressed(snapshot: Snapshot, rows: bytes) -> bytes:
    head = [snapshot.challenge, snapshot.version, snapshot.built_at.isoformat()]
    return zlib.compress(_text(head) + b"\n" + rows, 1)


def _rows(standings: Iterable[Standing]) -> bytes:
    return _text([_standing(standing) for standing in standings])


def _text(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def _standing(s: Standing) -> list[Any]:
    found = s.rank_range
    place = [found.best, found.worst] if found else None
    return [s.track.value, s.rank, place, s.tie_group, s.unranked_because, _entry(s.entry)]


def _read_standing(row: list[Any]) -> Standing:
    track, rank, place, group, because, entry = row
    return Standing(
        _read_entry(entry), _TRACKS[track], rank, RankRange(*place) if place else None, group, because
    )


# Looked up, not called: an enumeration's call takes a microsecond, and there are many rows.
_TRACKS = {track.value: track for track in Track}
_TRUSTS = {trust.value: trust for trust in Trust}
_SCORE = (
    "benchmark", "value", "correct", "n", "available", "unscored", "data", "official", "reasons", "decimals",
)  # fmt: skip
_PLAIN = (
    "id", "challenge", "method", "team", "team_id", "base_model", "hub_id", "family", "parameters", "kind",
    "protocol", "precision", "strategy", "peft", "rank", "rounds", "clients", "clients_per_round", "adapted",
    "gain", "base_model_id", "size_by_name", "left",
)  # fmt: skip


def _entry(entry: Entry) -> list[Any]:
    fields = vars(entry)
    return [
        [fields[name] for name in _PLAIN],
        entry.gain_interval,
        entry.trust.value,
        entry.published_at.isoformat(),
        entry.source_date.isoformat() if entry.source_date else None,
        [[flag.benchmark, flag.message] for flag in entry.flags],
        {kind: [cost.value, cost.basis] for kind, cost in entry.resources.items()},
        [[getattr(score, name) for name in _SCORE] for score in entry.scores],
    ]


def _read_entry(row: list[Any]) -> Entry:
    plain, gain_interval, trust, published, day, flags, resources, scores = row
    return Entry(
        **dict(zip(_PLAIN, plain, strict=True)),
        gain_interval=tuple(gain_interval) if gain_interval else None,
        trust=_TRUSTS[trust],
        published_at=datetime.fromisoformat(published),
        source_date=date.fromisoformat(day) if day else None,
        flags=tuple(Flag(*flag) for flag in flags),
        resources={kind: Cost(*cost) for kind, cost in resources.items()},
        scores=tuple(_read_score(score) for score in scores),
    )


def _read_score(row: list[Any]) -> BenchmarkScore:
    fields = dict(zip(_SCORE, row, strict=True))
    return BenchmarkScore(**fields | {"reasons": tuple(fields["reasons"])})
