"""Snapshots of the boards: what stands on each, in order."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property

from django.utils import timezone

from evaluation.challenges import get
from leaderboard.entries import Standing
from leaderboard.queries import public_at, read
from leaderboard.ranking import standings


@dataclass(frozen=True)
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

    @property
    def protocol(self) -> int | None:
        """The protocol of the evaluated entries; None where there are none."""
        return max((s.entry.protocol for s in self.standings if s.entry.protocol), default=None)


def current(challenge: str) -> Snapshot:
    """The board as it stands. Raises UnknownNameError where there is no such challenge."""
    return _build(challenge, None)


def as_of(challenge: str, moment: datetime) -> Snapshot:
    """The board as it stood at a moment. Raises UnknownNameError where there is no such challenge."""
    return _build(challenge, moment)


def _build(challenge: str, moment: datetime | None) -> Snapshot:
    benchmarks = get(challenge).benchmarks
    reading = read(public_at(challenge, moment), moment, with_answers=True)
    newest = max((entry.protocol for entry in reading.entries), default=0)
    entries = [entry for entry in reading.entries if entry.protocol in (0, newest)]
    placed = tuple(standings(entries, benchmarks, reading.answers))
    version = hashlib.sha256(repr(placed).encode()).hexdigest()[:16]
    return Snapshot(challenge, moment, version, timezone.now(), placed)
