"""A snapshot of a board, and its form in the cache: compressed JSON, which unlike a pickle holds no code."""

from __future__ import annotations

import hashlib
import json
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from functools import cached_property
from typing import Any

from evaluation.statistics import RankRange
from leaderboard.entries import BenchmarkScore, Cost, Entry, Flag, Standing, Track, Trust

FORMAT = 4
"""Raised with every change of what is stored, so that another version's snapshots are not read."""


@dataclass(frozen=True, eq=False)  # by identity: what is found out about one is kept beside it
class Snapshot:
    """A board as it stands, or stood at the moment `as_of`. `version` changes with the content."""

    challenge: str
    as_of: datetime | None
    version: str
    built_at: datetime
    standings: tuple[Standing, ...]

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


def make(
    challenge: str, as_of: datetime | None, built_at: datetime, standings: Iterable[Standing]
) -> tuple[Snapshot, bytes]:
    """The snapshot of these standings, and what is stored of it."""
    placed = tuple(standings)
    rows = _rows(placed)
    version = hashlib.sha256(rows).hexdigest()[:16]
    snapshot = Snapshot(challenge, as_of, version, built_at, placed)
    return snapshot, _compressed(snapshot, rows)


def dump(snapshot: Snapshot) -> bytes:
    return _compressed(snapshot, _rows(snapshot.standings))


def load(kept: bytes) -> Snapshot:
    """What `dump` made of this FORMAT."""
    head, _, rows = zlib.decompress(kept).partition(b"\n")
    challenge, moment, version, built_at = json.loads(head)
    return Snapshot(
        challenge,
        datetime.fromisoformat(moment) if moment else None,
        version,
        datetime.fromisoformat(built_at),
        tuple(_read_standing(row) for row in json.loads(rows)),
    )


def _compressed(snapshot: Snapshot, rows: bytes) -> bytes:
    moment = snapshot.as_of.isoformat() if snapshot.as_of else None
    head = [snapshot.challenge, moment, snapshot.version, snapshot.built_at.isoformat()]
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
    "gain", "left",
)  # fmt: skip


def _entry(entry: Entry) -> list[Any]:
    fields = vars(entry)
    return [
        [fields[name] for name in _PLAIN],
        entry.trust.value,
        entry.published_at.isoformat(),
        entry.source_date.isoformat() if entry.source_date else None,
        [[flag.benchmark, flag.message] for flag in entry.flags],
        {kind: [cost.value, cost.basis] for kind, cost in entry.resources.items()},
        [[getattr(score, name) for name in _SCORE] for score in entry.scores],
    ]


def _read_entry(row: list[Any]) -> Entry:
    plain, trust, published, day, flags, resources, scores = row
    return Entry(
        **dict(zip(_PLAIN, plain, strict=True)),
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
