"""What a column of a board is: one object that page, filters, files, comparison and API are made of."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Generic, Literal, TypeVar

from evaluation.statistics import Interval
from leaderboard.standing.entries import Entry, Standing

RowT = TypeVar("RowT")
Value = float | int | str | datetime
Holds = Literal["number", "count", "text", "moment"]
_UNITS = {"1": "fraction"}


class Group(StrEnum):
    """The table of a comparison that a column is a row of."""

    SCORE = "score"
    COST = "cost of the training"
    OTHER = ""


@dataclass(frozen=True)
class Field(Generic[RowT]):
    """One field of every row of a file: a name that stays whatever the board holds, and its unit."""

    name: str
    holds: Holds
    value: Callable[[RowT], Value | None]
    unit: str = ""
    meaning: str = ""

    @property
    def heading(self) -> str:
        return f"{self.name} [{self.unit}]" if self.unit else self.name


@dataclass(frozen=True)
class Facet:
    """Values of which a reader may choose any: the address's parameter `name`, and what an entry has, or "".

    `values` are all that there can be, in their order; () where the board's entries say which there are.
    """

    name: str
    title: str
    of: Callable[[Entry], str]
    values: tuple[str, ...] = ()


@dataclass(frozen=True)
class ApiField:
    """A column in the API: of a cost an object of value and basis, of others the value, 0.7 or "LoRA".

    `interval` names the field of its 95% interval, "" where there is none.
    """

    name: str
    meaning: str = ""
    interval: str = ""


@dataclass(frozen=True)
class Column:
    """One column. `value` is what is sorted and exported: in `si_unit`, None where nothing is known; `holds`
    says of which kind it is.

    `text` is how a person reads it, in `unit`, "" where nothing is known; `basis` says how a cost is known,
    `interval` is the 95% interval in the unit of `value`, None of an impossible score. A `difference` is
    written with its sign. `style` is the class of its cells. `falls`: the highest value comes first when one
    sorts by it. `shown`: it is there unless the reader hides it, or no entry has a value.

    `facet` lets readers choose its values, `limit` lets them set an upper bound, `max_<key>`, in a unit of so
    many SI units. Files have the fields `exported`, if given, instead of those that follow
    from the column: its value, and where there are such its basis and the ends of its interval.
    """

    key: str
    title: str
    value: Callable[[Standing], Value | None]
    text: Callable[[Standing], str]
    unit: str = ""
    si_unit: str = ""
    style: str = "cost"
    group: Group = Group.OTHER
    basis: Callable[[Standing], str] | None = None
    interval: Callable[[Standing], Interval | None] | None = None
    difference: bool = False
    falls: bool = False
    shown: bool = True
    meaning: str = ""
    holds: Holds = "number"
    facet: Facet | None = None
    limit: float | None = None
    exported: tuple[Field[Standing], ...] = ()
    api: ApiField | None = None

    @property
    def heading(self) -> str:
        """Title and unit, as a label needs them."""
        return f"{self.title}, {self.unit}" if self.unit else self.title

    @property
    def fields(self) -> tuple[Field[Standing], ...]:
        """What files have of it."""
        return self.exported or tuple(self._fields())

    def basis_of(self, standing: Standing) -> str:
        return self.basis(standing) if self.basis else ""

    def interval_of(self, standing: Standing) -> Interval | None:
        return self.interval(standing) if self.interval else None

    def _fields(self) -> Iterator[Field[Standing]]:
        unit = _UNITS.get(self.si_unit, self.si_unit)
        yield Field(self.key, self.holds, self.value, unit, self.meaning or self.title)
        if self.basis:
            yield Field(f"{self.key}_basis", "text", lambda standing: self.basis_of(standing) or None)
        if self.interval:
            yield Field(f"{self.key}_low", "number", lambda standing: self._limit(standing, 0), unit)
            yield Field(f"{self.key}_high", "number", lambda standing: self._limit(standing, 1), unit)

    def _limit(self, standing: Standing, end: int) -> float | None:
        found = self.interval_of(standing)
        return found[end] if found else None
