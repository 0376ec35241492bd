"""What is special about a case: the few things that a reviewer should know before opening it. Pure."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum

from leaderboard.standing.entries import Entry


class Mark(StrEnum):
    """The gravest first; the value is the name in addresses."""

    STATIC = "static"
    RESEMBLES = "resembles"
    COSTS = "costs"
    LEADS = "leads"
    FIRST = "first"

    @property
    def label(self) -> str:
        return _LABELS[self]

    @property
    def meaning(self) -> str:
        return _MEANINGS[self]


_LABELS = {
    Mark.STATIC: "static section changed",
    Mark.RESEMBLES: "resembles another team's",
    Mark.COSTS: "costs disagree",
    Mark.LEADS: "beats rank 1",
    Mark.FIRST: "first of its team",
}
_MEANINGS = {
    Mark.STATIC: "What all entries of the challenge share was not left as the template has it",
    Mark.RESEMBLES: "Another team submitted the very same tensors",
    Mark.COSTS: "What was declared is not what follows from the files",
    Mark.LEADS: "Published now, it would stand first on its board",
    Mark.FIRST: "Its team had nothing reviewed before",
}
_BY_CODE = {
    "config.static_missing": Mark.STATIC,
    "config.static_dataset": Mark.STATIC,
    "config.static_extra": Mark.STATIC,
    "communication.differs": Mark.COSTS,
    "submission.parameters_differ": Mark.COSTS,
}
"""The findings that say so themselves."""


@dataclass(frozen=True)
class Known:
    """What the marks of a case follow from: `codes` of its errors and warnings, and what boards and records
    say."""

    codes: Collection[str]
    leads: bool = False
    is_first: bool = False
    resembles: bool = False
    costs_disagree: bool = False


def marks_of(known: Known) -> tuple[Mark, ...]:
    found = {mark for code, mark in _BY_CODE.items() if code in known.codes}
    told = {
        Mark.RESEMBLES: known.resembles,
        Mark.COSTS: known.costs_disagree,
        Mark.LEADS: known.leads,
        Mark.FIRST: known.is_first,
    }
    return tuple(mark for mark in Mark if mark in found or told.get(mark))


def would_lead(entry: Entry, best: Entry | None) -> bool:
    """Whether it would stand before the best of its track and precision; alone it leads nobody."""
    if entry.average is None or best is None or best.average is None or best.id == entry.id:
        return False
    return entry.average > best.average
