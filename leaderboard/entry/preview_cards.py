"""Pictures for link previews: the figures of a board or an entry, 1200 by 630 points."""

from __future__ import annotations

import hashlib
import unicodedata
from dataclasses import dataclass
from functools import cached_property

import vl_convert
from django.template.loader import render_to_string

from evaluation.benchmarks import BENCHMARKS
from evaluation.rules.challenges import CHALLENGES
from evaluation.statistics import Interval
from leaderboard.board.columns import rank_text
from leaderboard.figures import gigabytes, percent, percent_range
from leaderboard.markup import xml_text
from leaderboard.reading.kept import Kind
from leaderboard.reading.snapshots import Snapshot
from leaderboard.standing.entries import Entry, Standing, Track

WIDTH, HEIGHT = 1200, 630
_DRAWN = Kind("card", bytes, number=1, seconds=7 * 86_400)
# The light values of --accent in site.css.
_ACCENTS = {"general-nlp": "#2f55a0", "finance": "#0d6966", "medical": "#8f3568", "code": "#76560f"}
_ROWS, _FIRST_ROW, _ROW_HEIGHT = 4, 468, 46
_AXIS_LEFT, _AXIS_RIGHT = 640, 1000


@dataclass(frozen=True)
class Fact:
    """A key figure beside the large one, at `x`."""

    x: int
    label: str
    text: str
    note: str


@dataclass(frozen=True)
class CardLine:
    """A score on the axis from 0 to 100%; `low`, `point` and `high` are positions in the picture."""

    y: int
    label: str
    text: str
    low: float
    point: float
    high: float


@dataclass(frozen=True)
class PreviewCard:
    """What stands on a picture. Texts fit their places and hold nothing that XML forbids."""

    accent: str
    corner: str
    title: str
    subtitle: str
    figure: str
    figure_note: str
    facts: tuple[Fact, ...]
    rows: tuple[CardLine, ...]
    remark: str = ""

    @cached_property
    def svg(self) -> str:
        return render_to_string("leaderboard/card.svg", {"card": self})

    @cached_property
    def digest(self) -> str:
        """Changes with the picture."""
        return hashlib.sha256(self.svg.encode()).hexdigest()[:32]

    def png(self) -> bytes:
        """Drawn once and kept in the cache."""
        return _DRAWN.get_or_make(self.digest, lambda: bytes(vl_convert.svg_to_png(self.svg)))


def board_card(board: Snapshot) -> PreviewCard:
    """The leaders of a board's first ranking."""
    challenge = CHALLENGES[board.challenge]
    ranked = [s for s in board.standings if s.rank is not None]
    leaders = [
        s for s in ranked if s.track is ranked[0].track and s.entry.precision == ranked[0].entry.precision
    ]
    count = f"{len(board.standings):,} entr{'y' if len(board.standings) == 1 else 'ies'}"
    return PreviewCard(
        accent=_ACCENTS[challenge.slug],
        corner=count,
        title=challenge.title,
        subtitle=_fitted(challenge.summary, 27, 1080),
        figure=percent(leaders[0].entry.average) if leaders else "",
        figure_note=_interval_text(leaders[0].entry) if leaders else "",
        facts=_board_facts(leaders[0]) if leaders else (),
        rows=tuple(
            _row(
                place,
                f"{rank_text(s)}  {s.entry.method}, {s.entry.base_model}",
                s.entry.average,
                s.entry.interval,
            )
            for place, s in enumerate(leaders[:_ROWS])
        ),
        remark="" if leaders else "No entry is ranked yet.",
    )


def entry_card(entry: Entry, standing: Standing | None, *, disqualified: bool = False) -> PreviewCard:
    """An entry's average, rank, cost and scores. Of a disqualified one only that it is."""
    challenge = CHALLENGES[entry.challenge]
    return PreviewCard(
        accent=_ACCENTS[challenge.slug],
        corner=challenge.title,
        title=_fitted(entry.method, 54, 1080),
        subtitle=_fitted(f"{entry.team} · {entry.base_model}", 27, 1080),
        figure="" if disqualified else percent(entry.average),
        figure_note="" if disqualified else _interval_text(entry),
        facts=() if disqualified else _entry_facts(entry, standing),
        rows=()
        if disqualified
        else tuple(
            _row(place, BENCHMARKS[score.benchmark].title, score.value, score.interval)
            for place, score in enumerate(entry.scores[:_ROWS])
        ),
        remark="Disqualified" if disqualified else "",
    )


def _board_facts(leader: Standing) -> tuple[Fact, ...]:
    entry = leader.entry
    best = "Best entry" if leader.track is Track.OFFICIAL else f"Best {leader.track} entry"
    return (
        Fact(
            480, best, _fitted(entry.method, 34, 660), _fitted(f"{entry.team} · {entry.base_model}", 22, 660)
        ),
    )


def _entry_facts(entry: Entry, standing: Standing | None) -> tuple[Fact, ...]:
    facts = []
    if standing and standing.rank is not None:
        among = "" if standing.track is Track.OFFICIAL else f"of {standing.track} entries"
        facts.append(Fact(520, "Rank", rank_text(standing), among))
    if entry.communication:
        text = f"{gigabytes(entry.communication.value)} GB"
        facts.append(Fact(720, "Communication", text, entry.communication.basis))
    facts.append(Fact(960, "Trust", entry.trust.value, ""))
    return tuple(facts)


def _row(place: int, label: str, value: float | None, interval: Interval | None) -> CardLine:
    point = _position(value or 0.0)
    low, high = map(_position, interval) if interval else (point, point)
    text = percent(value) or "no score"
    return CardLine(_FIRST_ROW + place * _ROW_HEIGHT, _fitted(label, 26, 560), text, low, point, high)


def _position(fraction: float) -> float:
    return round(_AXIS_LEFT + fraction * (_AXIS_RIGHT - _AXIS_LEFT), 1)


def _interval_text(entry: Entry) -> str:
    if entry.interval is None:
        return ""
    what = "average as declared" if entry.protocol == 0 else "average"
    return f"{what}, 95% interval {percent_range(entry.interval)}"


def _fitted(text: str, size: int, width: int) -> str:
    """The text, cut with an ellipsis where it would be wider; wide characters count double."""
    text = " ".join(xml_text(text).split())
    left = width / (0.5 * size)
    for position, character in enumerate(text):
        left -= 1.9 if unicodedata.east_asian_width(character) in "WF" else 1
        if left < 0:
            return text[: max(0, position - 1)].rstrip() + "…"
    return text
