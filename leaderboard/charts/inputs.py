"""What pictures of an entry are drawn from. Light to import, unlike what draws them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from leaderboard.standing.entries import Entry


@dataclass(frozen=True)
class Peers:
    """What an entry is held against: the untuned base model's entry, and on each benchmark the best one."""

    base: Entry | None
    best: Mapping[str, Entry]


@dataclass(frozen=True)
class RoundPoint:
    """A round of a run: losses (None where not measured), bytes of both directions, seconds by the clock."""

    round: int
    train_loss: float | None
    held_out_loss: float | None
    bytes_sent: int
    seconds: float
