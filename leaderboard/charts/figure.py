"""A picture with what it says in words: the common form of all charts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from leaderboard.addresses import entry_page
from leaderboard.standing.entries import Entry

MARK = "mark-"
"""A mark's description in a specification is this and its position among the figure's marks."""


@dataclass(frozen=True)
class Mark:
    """What a drawn mark stands for: its words and, where it leads somewhere, the address.

    Marks that are not `tabbed` are reached with a pointer and in the table, so that a picture of hundreds
    of points is not hundreds of stops for a keyboard.
    """

    text: str
    href: str = ""
    tabbed: bool = True


@dataclass(frozen=True)
class FigureCell:
    """A cell of the table beside a picture."""

    text: str
    href: str = ""


@dataclass(frozen=True)
class Figure:
    """A picture and its text alternative.

    `sentence` says what the picture shows, `note` what it leaves out. `spec` is a Vega-Lite specification,
    None where there is nothing to draw; the descriptions of its marks name `marks` (see MARK).
    """

    name: str
    title: str
    sentence: str
    head: tuple[str, ...] = ()
    rows: tuple[tuple[FigureCell, ...], ...] = ()
    marks: tuple[Mark, ...] = ()
    spec: Mapping[str, Any] | None = None
    note: str = ""


def named(entry: Entry) -> str:
    """An entry in a sentence: entries taken over from elsewhere are named after their base model."""
    if entry.method == entry.base_model and entry.team:
        return f"{entry.base_model} by {entry.team}"
    return f"{entry.method} on {entry.base_model}"


def address(entry: Entry) -> str:
    """Where a mark or a cell of an entry leads; "" where it has no page any more."""
    return entry_page(entry.id, entry.protocol) if entry.has_page else ""


def description(position: int) -> str:
    """What a mark's description has to be in the specification."""
    return f"{MARK}{position}"
