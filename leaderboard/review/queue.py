"""The queue of cases: what is known of each at a glance, filtered and sorted as an address states it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from evaluation.rules.challenges import CHALLENGES, Challenge
from leaderboard.entry.facts import resource_rows
from leaderboard.reading import snapshots
from leaderboard.reading.cases import Waiting, entries_of
from leaderboard.review.findings import Weights
from leaderboard.review.marks import Known, Mark, marks_of, would_lead
from leaderboard.standing.entries import Entry
from leaderboard.standing.ranking import track_of

DECIDED = "decided"
"""What of the queue can be shown that waits for nobody any more."""


class Holder(StrEnum):
    """Who has a case."""

    ANYBODY = ""
    NOBODY = "nobody"
    ME = "me"


class Order(StrEnum):
    """USUAL is what waited longest first, and of what is over the newest."""

    USUAL = ""
    NEWEST = "newest"
    FINDINGS = "findings"
    CHALLENGE = "challenge"


@dataclass(frozen=True)
class Row:
    """A case in the queue; `average` is None where nothing was evaluated."""

    waiting: Waiting
    challenge: Challenge
    weights: Weights
    marks: tuple[Mark, ...]
    average: float | None
    is_mine: bool


@dataclass(frozen=True)
class View:
    """Which cases are shown, and how sorted. What cannot be read is left out: old links may say it."""

    challenge: str = ""
    holder: Holder = Holder.ANYBODY
    mark: Mark | None = None
    order: Order = Order.USUAL
    show: str = ""

    @classmethod
    def of(cls, stated: Mapping[str, str], shows: Iterable[str]) -> View:
        challenge, mark, show = stated.get("challenge", ""), stated.get("mark", ""), stated.get("show", "")
        holder, order = stated.get("holder", ""), stated.get("sort", "")
        return cls(
            challenge=challenge if challenge in CHALLENGES else "",
            holder=Holder(holder) if holder in set(Holder) else Holder.ANYBODY,
            mark=Mark(mark) if mark in set(Mark) else None,
            order=Order(order) if order in set(Order) else Order.USUAL,
            show=show if show in set(shows) else "",
        )

    @property
    def narrows(self) -> bool:
        return bool(self.challenge or self.holder or self.mark)

    @property
    def is_of_the_past(self) -> bool:
        return self.show == DECIDED


_KEYS: Mapping[Order, Callable[[Row], Any]] = {
    Order.USUAL: lambda row: row.waiting.since,
    Order.NEWEST: lambda row: -row.waiting.since.timestamp(),
    Order.FINDINGS: lambda row: (*(-count for count in row.weights.order), row.waiting.since),
    Order.CHALLENGE: lambda row: (list(CHALLENGES).index(row.waiting.challenge), row.waiting.since),
}


def rows_of(waiting: Sequence[Waiting], reviewer: int) -> list[Row]:
    """Each case with what is special about it, `reviewer` being the number of the user who asks."""
    entries = entries_of(one.id for one in waiting)
    best = _best({(entry.challenge, entry.protocol) for entry in entries.values()})
    return [_row(one, entries.get(one.id), best, reviewer) for one in waiting]


def chosen(rows: Iterable[Row], view: View) -> list[Row]:
    """Those that the view shows, in its order."""
    order = Order.NEWEST if view.is_of_the_past and view.order is Order.USUAL else view.order
    return sorted((row for row in rows if _is_shown(row, view)), key=_KEYS[order])


def oldest(rows: Iterable[Row]) -> datetime | None:
    return min((row.waiting.since for row in rows), default=None)


def _is_shown(row: Row, view: View) -> bool:
    return (
        (not view.challenge or row.waiting.challenge == view.challenge)
        and (view.mark is None or view.mark in row.marks)
        and (view.holder is not Holder.ME or row.is_mine)
        and (view.holder is not Holder.NOBODY or row.waiting.holder_id is None)
    )


def _row(one: Waiting, entry: Entry | None, best: Mapping[object, Entry], reviewer: int) -> Row:
    leader = best.get(_kind(entry)) if entry else None
    known = Known(
        codes=one.grave,
        leads=bool(entry and would_lead(entry, leader)),
        is_first=one.is_first,
        resembles=one.resembles,
        costs_disagree=any(cost.disagreement for cost in resource_rows(one.resources, ())),
    )
    return Row(
        waiting=one,
        challenge=CHALLENGES[one.challenge],
        weights=Weights.of(one.severities),
        marks=marks_of(known),
        average=entry.average if entry else None,
        is_mine=one.holder_id == reviewer,
    )


def _best(boards: Iterable[tuple[str, int]]) -> dict[object, Entry]:
    """What stands first of each kind on those boards."""
    found: dict[object, Entry] = {}
    for challenge, protocol in boards:
        for standing in snapshots.current(challenge, protocol or None).standings:
            if standing.rank is not None:
                found.setdefault(_kind(standing.entry), standing.entry)
    return found


def _kind(entry: Entry) -> object:
    """Equal for entries that are ranked together."""
    return entry.challenge, entry.protocol, track_of(entry), entry.precision
