"""A study as its page shows it: the table, each challenge with a picture, and what others published."""

from __future__ import annotations

from dataclasses import dataclass

from evaluation.rules.challenges import Challenge
from portal.baselines.studies.exports import rows_of
from portal.baselines.studies.published import Beside, beside_published
from portal.baselines.studies.table import CellResult, Table, method_of

REFRESH_SECONDS, MOST_REFRESH_SECONDS = 5, 60
WIDTH = 200.0


@dataclass(frozen=True)
class Row:
    """A base model with a method, and its cell for each challenge of the study."""

    base_model: str
    is_first: bool
    method: str
    cells: tuple[CellResult | None, ...]


@dataclass(frozen=True)
class Bar:
    """A cell's mean and interval on a line of WIDTH, all bars of a challenge on the same scale."""

    result: CellResult
    base_model: str
    method: str
    low: float
    middle: float
    high: float

    @property
    def span(self) -> float:
        return round(self.high - self.low, 1)


@dataclass(frozen=True)
class Picture:
    """A challenge's bars from `low` to `high`, fractions."""

    challenge: Challenge
    low: float
    high: float
    bars: tuple[Bar, ...]

    width = WIDTH


@dataclass(frozen=True)
class Shown:
    """Everything on a study's page."""

    table: Table
    rows: tuple[Row, ...]
    pictures: tuple[Picture, ...]
    beside: list[Beside]
    refresh_seconds: int | None


def shown(table: Table) -> Shown:
    return Shown(
        table=table,
        rows=tuple(_rows(table)),
        pictures=tuple(filter(None, (_picture(table, challenge) for challenge in table.challenges))),
        beside=beside_published(table),
        refresh_seconds=_refresh_seconds(table) if table.is_under_way else None,
    )


def _refresh_seconds(table: Table) -> int:
    """A large table takes longer to read, so that it is renewed less often: a second for every 20 runs."""
    return min(max(REFRESH_SECONDS, table.plan.runs // 20), MOST_REFRESH_SECONDS)


def _rows(table: Table) -> list[Row]:
    rows, last = [], ""
    for (base_model, method), cells in rows_of(table).items():
        places = tuple(cells.get(challenge.slug) for challenge in table.challenges)
        rows.append(Row(base_model.rpartition("/")[2], base_model != last, method, places))
        last = base_model
    return rows


def _picture(table: Table, challenge: Challenge) -> Picture | None:
    scored = [result for result in table.of(challenge.slug) if result.score]
    limits = [limit for result in scored if result.score for limit in result.score.interval]
    if not limits:
        return None
    low, high = min(limits), max(limits)
    span = (high - low) or 1.0
    bars = []
    for result in scored:
        assert result.score
        places = (result.score.interval[0], result.score.value, result.score.interval[1])
        left, middle, right = (round((place - low) / span * WIDTH, 1) for place in places)
        base_model = result.cell.base_model.rpartition("/")[2]
        bars.append(Bar(result, base_model, method_of(result.cell, table.plan), left, middle, right))
    return Picture(challenge, low, high, tuple(bars))
