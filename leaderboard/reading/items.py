"""The single answers behind a score: read by position, without the whole file for a page of them.

A score's items are JSON lines in storage, up to some thousand and ten megabytes. They never change, so where
each line begins and how it was judged is kept in the cache once it was found out.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, fields
from enum import StrEnum
from typing import Any, BinaryIO

from django.db.models import Q, QuerySet

from evaluation.statistics import Interval, wilson_interval
from leaderboard.reading.kept import Kind
from leaderboard.reading.pieces import Pieces
from leaderboard.reading.queries import counting
from portal.accounts.access import sees_all
from portal.runs.items import ItemsMissingError, open_items
from portal.runs.models import Score
from portal.submissions.models import Submission

LONGEST_SEARCH = 200
_ROW_GROUP = 1_000
# What a reader may search; the other keys of a line are the same in all.
_SEARCHED = ("prompt", "completion", "prediction", "target")


class Verdict(StrEnum):
    RIGHT = "right"
    WRONG = "wrong"
    UNSCORED = "unscored"


_CODES = {"r": Verdict.RIGHT, "w": Verdict.WRONG, "u": Verdict.UNSCORED}


@dataclass(frozen=True)
class Item:
    """One answer. `position` counts from 0 in the benchmark's order; None where there was no answer."""

    position: int
    id: str
    prompt: str
    completion: str | None
    prediction: str | None
    target: str
    correct: bool | None
    group: str
    failure: str
    detail: str

    @property
    def verdict(self) -> Verdict:
        if self.correct is None:
            return Verdict.UNSCORED
        return Verdict.RIGHT if self.correct else Verdict.WRONG


@dataclass(frozen=True)
class GroupScore:
    """How one group of the items, as an MMLU subject, was answered."""

    group: str
    items: int
    scored: int
    right: int

    @property
    def value(self) -> float | None:
        return self.right / self.scored if self.scored else None

    @property
    def interval(self) -> Interval | None:
        return wilson_interval(self.right, self.scored) if self.scored else None


@dataclass(frozen=True)
class Index:
    """Where each item's line begins and ends (`starts` has one more), its verdict and its group."""

    starts: tuple[int, ...]
    codes: str
    groups: tuple[str, ...]
    group_of: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.codes)

    @property
    def counts(self) -> dict[Verdict, int]:
        return {verdict: self.codes.count(code) for code, verdict in _CODES.items()}

    def chosen(self, verdict: Verdict | None = None, group: str = "") -> list[int]:
        """Positions of the items of a verdict and a group, each where it is given."""
        code = next((code for code, known in _CODES.items() if known == verdict), "")
        number = self.groups.index(group) if group in self.groups else -1
        return [
            position
            for position, (found, belongs) in enumerate(zip(self.codes, self.group_of, strict=True))
            if (not code or found == code) and (not group or belongs == number)
        ]

    def by_group(self) -> list[GroupScore]:
        """The breakdown, by name; empty where the items have no groups."""
        if self.groups == ("",):
            return []
        found: Counter[tuple[int, str]] = Counter(zip(self.group_of, self.codes, strict=True))
        return [
            GroupScore(
                group=name,
                items=sum(found[number, code] for code in _CODES),
                scored=found[number, "r"] + found[number, "w"],
                right=found[number, "r"],
            )
            for number, name in sorted(enumerate(self.groups), key=lambda pair: pair[1])
        ]


_INDEXES = Kind("items-index", Index, number=2, seconds=7 * 86_400)
"""By the number of the score."""


def readable_scores(user: object, entries: Iterable[int], protocol: int | None = None) -> QuerySet[Score]:
    """The scores that count of those of the entries whose single answers a user may read: the published ones,
    those of the user's teams, and for staff all."""
    chosen = Submission.objects.filter(pk__in=entries)
    if not sees_all(user):
        published = Q(status=Submission.Status.PUBLISHED)
        own = Q(team__memberships__user=user) if getattr(user, "is_authenticated", False) else Q()
        chosen = chosen.filter(published | own).distinct()
    counted = counting(chosen.order_by().values("pk"), protocol=protocol)
    return Score.objects.filter(evaluation__in=counted.values("pk"))


def public_scores(entries: Iterable[int], protocol: int | None = None) -> QuerySet[Score]:
    """The scores that count of those of the entries whose single answers anybody may read."""
    published = Submission.objects.filter(pk__in=entries, status=Submission.Status.PUBLISHED)
    counted = counting(published.values("pk"), protocol=protocol)
    return Score.objects.filter(evaluation__in=counted.values("pk"))


def index_of(score: Score) -> Index:
    """Raises ItemsMissingError."""
    return _INDEXES.get_or_make(str(score.pk), lambda: _build(score))


def read(score: Score, index: Index, positions: Iterable[int]) -> list[Item]:
    """The items at these positions, in their order. Raises ItemsMissingError."""
    with _opened(score) as file:
        found = []
        for position in positions:
            file.seek(index.starts[position])
            line = file.read(index.starts[position + 1] - index.starts[position])
            found.append(_item(position, _parsed(line)))
        return found


def search(score: Score, text: str, among: Sequence[int]) -> list[int]:
    """Those of the positions whose prompt or answer holds a text, in any case. Reads the whole file."""
    wanted = text.casefold()
    # As it stands in a line: most lines need no parsing to be ruled out.
    written = json.dumps(text, ensure_ascii=False)[1:-1].casefold()
    chosen = set(among)
    with _opened(score) as file:
        return [
            position
            for position, line in enumerate(file)
            if position in chosen
            and written in line.decode(errors="replace").casefold()
            and _holds(_parsed(line), wanted)
        ]


def _holds(line: dict[str, Any], wanted: str) -> bool:
    return any(wanted in str(line.get(key) or "").casefold() for key in _SEARCHED)


def json_lines(score: Score) -> Any:
    """The stored file, to be streamed. Raises ItemsMissingError."""
    return open_items(score)


def every(score: Score) -> Iterator[Item]:
    """All items in their order, of which one is in memory at a time.

    Raises ItemsMissingError, at once where the file is gone.
    """
    return _every(open_items(score))


def _every(file: Any) -> Iterator[Item]:
    with closing(file):
        for position, line in enumerate(file):
            yield _item(position, _parsed(line))


def parquet(score: Score) -> Iterator[bytes]:
    """The items as a Parquet file, piece by piece; a thousand are in memory at a time.

    Raises ItemsMissingError at once where the file is gone.
    """
    return _parquet(score, open_items(score))


def _parquet(score: Score, file: Any) -> Iterator[bytes]:
    # Here, because pyarrow takes a tenth of a second and 60 MB that pages do without.
    import pyarrow
    from pyarrow import parquet as format

    types = {"position": pyarrow.int32(), "correct": pyarrow.bool_()}
    schema = pyarrow.schema(
        [(field.name, types.get(field.name, pyarrow.string())) for field in fields(Item)],
        metadata={"benchmark": score.benchmark, "data_digest": score.data_digest},
    )
    sink = Pieces()
    with closing(file):
        writer = format.ParquetWriter(sink, schema, compression="zstd")
        for rows in _batches(file):
            columns = {name: [getattr(item, name) for item in rows] for name in schema.names}
            writer.write_table(pyarrow.table(columns, schema=schema))
            yield sink.taken()
        writer.close()
        yield sink.taken()


def _batches(file: BinaryIO) -> Iterator[list[Item]]:
    rows: list[Item] = []
    for position, line in enumerate(file):
        rows.append(_item(position, _parsed(line)))
        if len(rows) == _ROW_GROUP:
            yield rows
            rows = []
    if rows:
        yield rows


def _build(score: Score) -> Index:
    starts, codes, groups, group_of = [0], [], dict[str, int](), []
    with _opened(score) as file:
        for line in file:
            values = _parsed(line)
            starts.append(starts[-1] + len(line))
            correct = values.get("correct")
            codes.append("u" if correct is None else "r" if correct else "w")
            group_of.append(groups.setdefault(str(values.get("group") or ""), len(groups)))
    return Index(tuple(starts), "".join(codes), tuple(groups), tuple(group_of))


def _item(position: int, line: dict[str, Any]) -> Item:
    def maybe(key: str) -> str | None:
        value = line.get(key)
        return None if value is None else str(value)

    return Item(
        position=position,
        id=str(line.get("id", position)),
        prompt=str(line.get("prompt") or ""),
        completion=maybe("completion"),
        prediction=maybe("prediction"),
        target=str(line.get("target") or ""),
        correct=line.get("correct"),
        group=str(line.get("group") or ""),
        failure=str(line.get("failure") or ""),
        detail=str(line.get("detail") or ""),
    )


def _parsed(line: bytes) -> dict[str, Any]:
    try:
        values = json.loads(line)
    except ValueError as error:
        raise ItemsMissingError("The single answers of this score are damaged in storage.") from error
    if not isinstance(values, dict):
        raise ItemsMissingError("The single answers of this score are damaged in storage.")
    return values


@contextmanager
def _opened(score: Score) -> Iterator[BinaryIO]:
    with closing(open_items(score)) as file:
        yield file
