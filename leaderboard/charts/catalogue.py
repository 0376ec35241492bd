"""The pictures of a board and of an entry, by name; each is kept by what it shows.

Light to import: the modules that make pictures are loaded by the first one, as the engine is.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from django.utils.safestring import SafeString, mark_safe

from evaluation import rules
from evaluation.benchmarks import BENCHMARKS
from leaderboard.charts import drawing
from leaderboard.charts.drawing import Allowance
from leaderboard.charts.figure import Figure
from leaderboard.reading.kept import Kind
from leaderboard.reading.snapshots import Snapshot
from leaderboard.standing.entries import Entry, Standing, Track

LOOK = 9
"""Part of the keys under which pictures are kept: raise it with any change of what is drawn."""
_FIGURES = Kind("figure", Figure, LOOK, 86_400)
_INLINE = Kind("inline", str, LOOK, 86_400)
_FILES = Kind("picture", bytes, LOOK, 86_400)

BOARD = {
    "communication": "leaderboard.charts.cost",
    "memory": "leaderboard.charts.cost",
    "gpu-hours": "leaderboard.charts.cost",
    "intervals": "leaderboard.charts.forest",
    "history": "leaderboard.charts.history",
    "strategies": "leaderboard.charts.grid",
    "transfer": "leaderboard.charts.transfer",
}
"""The pictures of a board in reading order, with the modules that make them: `board_figure(name, …)`."""

ENTRY = {"profile": "leaderboard.charts.profile", "rounds": "leaderboard.charts.rounds"}
"""The pictures of an entry, with the modules that make them: `figure(…)`."""

Inputs = Callable[[], tuple[Any, ...]]
"""Gives the arguments of an entry's `figure`, once they are needed."""


@dataclass(frozen=True)
class Group:
    """Entries that may be drawn together: of one track and, where it may differ, one precision."""

    track: Track
    precision: str
    entries: tuple[Entry, ...]

    @property
    def key(self) -> str:
        return "-".join(filter(None, (self.track.value, self.precision)))


@dataclass(frozen=True)
class Picture:
    """A figure with its drawing; `svg` is empty where there is nothing to draw or no engine was free."""

    figure: Figure
    svg: SafeString

    @property
    def is_drawn(self) -> bool:
        return bool(self.svg)

    @property
    def is_late(self) -> bool:
        return self.figure.spec is not None and not self.svg


def groups(standings: Sequence[Standing]) -> list[Group]:
    """What of a view can be drawn, the best first: tracks are never mixed, flagged entries left out."""
    found: dict[tuple[Track, str], list[Entry]] = {}
    for standing in standings:
        entry = standing.entry
        if standing.rank is not None or (standing.track is Track.DECLARED and not entry.flags):
            found.setdefault((standing.track, entry.precision), []).append(entry)
    return [
        Group(track, precision, tuple(sorted(entries, key=lambda e: (-(e.average or 0.0), e.id))))
        for (track, precision), entries in found.items()
    ]


def board_pictures(
    snapshot: Snapshot, group: Group, names: Iterable[str], allowance: Allowance | None = None
) -> list[Picture]:
    """Pictures of a view of a board, under one allowance. Raises KeyError for a name that BOARD has not."""
    allowance = allowance or Allowance()
    return [board_picture(snapshot, group, name, allowance) for name in names]


def board_picture(snapshot: Snapshot, group: Group, name: str, allowance: Allowance | None = None) -> Picture:
    """A picture of a view of a board. Raises KeyError for a name that BOARD has not."""
    return _picture(
        _board_key(snapshot, group, name), lambda: _board_figure(snapshot, group, name), allowance
    )


def board_file(
    snapshot: Snapshot, group: Group, name: str, form: str, allowance: Allowance | None = None
) -> bytes | None:
    """The same as a file; None where there is nothing to draw. Raises BusyError, KeyError."""
    figure = _FIGURES.get_or_make(
        _board_key(snapshot, group, name), lambda: _board_figure(snapshot, group, name)
    )
    return _file(_board_key(snapshot, group, name), figure, snapshot.challenge, form, allowance)


def entry_picture(name: str, key: str, inputs: Inputs) -> Picture:
    """A picture of an entry, one of ENTRY; `key` changes with what it is drawn from."""
    return _picture(_entry_key(name, key), lambda: _entry_figure(name, inputs))


def entry_file(name: str, key: str, inputs: Inputs, challenge: str, form: str) -> bytes | None:
    """The same as a file; None where there is nothing to draw. Raises BusyError."""
    figure = _FIGURES.get_or_make(_entry_key(name, key), lambda: _entry_figure(name, inputs))
    return _file(_entry_key(name, key), figure, challenge, form)


def _entry_key(name: str, key: str) -> str:
    return f"entry:{name}:{key}"


def _entry_figure(name: str, inputs: Inputs) -> Figure:
    figure: Figure = import_module(ENTRY[name]).figure(*inputs())
    return figure


def _board_key(snapshot: Snapshot, group: Group, name: str) -> str:
    shown = hashlib.sha256(repr([entry.id for entry in group.entries]).encode()).hexdigest()[:24]
    return f"{snapshot.challenge}:{snapshot.version}:{group.key}:{shown}:{name}"


def _board_figure(snapshot: Snapshot, group: Group, name: str) -> Figure:
    benchmarks = rules.of(snapshot.challenge, snapshot.protocol).benchmarks
    titles = {slug: BENCHMARKS[slug].title for slug in benchmarks}
    figure: Figure = import_module(BOARD[name]).board_figure(name, group.entries, titles)
    return figure


def _picture(key: str, make: Callable[[], Figure], allowance: Allowance | None = None) -> Picture:
    figure = _FIGURES.get_or_make(key, make)
    if figure.spec is None:
        return Picture(figure, SafeString())
    try:
        svg = _INLINE.get_or_make(key, lambda: drawing.inline_svg(figure, allowance or Allowance()))
    except drawing.BusyError:
        return Picture(figure, SafeString())
    # An XML serialiser wrote it: every text in it is escaped, and no element of it runs anything.
    return Picture(figure, mark_safe(svg))  # noqa: S308


def _file(
    key: str, figure: Figure, challenge: str, form: str, allowance: Allowance | None = None
) -> bytes | None:
    if figure.spec is None:
        return None
    allowed = allowance or Allowance()
    if form == "png":
        return _FILES.get_or_make(f"{key}:png", lambda: drawing.png_file(figure, challenge, allowed))
    return _FILES.get_or_make(f"{key}:svg", lambda: drawing.svg_file(figure, challenge, allowed).encode())
