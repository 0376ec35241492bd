"""Which rows a test of membership looks at of an adapter that was trained elsewhere.

Its team states that it trained on the challenge's set alone: then the whole set counts as trained on, and the
others are benchmark items of the same sources, asked in the set's words (`evaluation.leakage.sources`). No
text is looked at twice, and no item that the set has, whatever answer it gives there.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from evaluation import data
from evaluation.benchmarks import BENCHMARKS
from evaluation.data.register import Given
from evaluation.data.training import TrainingRow
from evaluation.errors import DataError
from evaluation.federated import data as training_data
from evaluation.leakage.sources import NONE_KNOWN, SAME_SOURCE
from evaluation.rules import protocol as protocols
from evaluation.running.leakage_rows import ROWS, Looked, Rows, chosen_of, enough
from evaluation.wire.registration import Registration

_SENTIMENT = re.compile(r"Instruction: (?P<asked>[^\n]*)\nInput: (?P<text>.*)\nAnswer: ", re.DOTALL)


def declared(
    challenge: str, number: int, rows: Path, items: str | None, registered: Sequence[Registration]
) -> Rows:
    """Raises DataError for a challenge without benchmarks of the same sources."""
    if challenge not in SAME_SOURCE:
        raise DataError(NONE_KNOWN[challenge])
    trained_on = training_data.read(rows).rows
    known = {_text(row) for row in trained_on}
    others = (row for row in _items(challenge, number, items, registered) if _text(row) not in known)
    members, untrained = _alike(_once(trained_on), _once(others))
    return Rows(enough([Looked(row, True) for row in members], [Looked(row, False) for row in untrained]))


def _items(
    challenge: str, number: int, items: str | None, registered: Sequence[Registration]
) -> Iterator[TrainingRow]:
    """The items of benchmarks of the same sources, as rows."""
    for slug in SAME_SOURCE[challenge]:
        dataset = data.load(
            BENCHMARKS[slug], items, protocols.get(number), None, register=Given(registered), fetch=False
        )
        for sample in dataset.samples:
            if not sample.leaked and (match := _SENTIMENT.fullmatch(sample.prompt)):
                yield TrainingRow(match["asked"], match["text"], sample.target)


def _once(rows: Iterable[TrainingRow]) -> list[TrainingRow]:
    """The first row of each text: FinGPT's set has most of its rows several times."""
    return list({(row.instruction, _text(row)): row for row in reversed(list(rows))}.values())[::-1]


def _text(row: TrainingRow) -> str:
    return " ".join(row.input.casefold().split())


def _alike(
    members: Sequence[TrainingRow], others: Sequence[TrainingRow]
) -> tuple[list[TrainingRow], list[TrainingRow]]:
    """As many of either kind for each instruction and answer: rows that ask otherwise would be told by that
    alone, and where one answer is more frequent on one side, so would an adapter that has learnt to give it.
    """
    forms = sorted({(row.instruction, row.output) for row in others})
    share = -(-ROWS // max(1, len(forms)))
    kinds: tuple[list[TrainingRow], list[TrainingRow]] = ([], [])
    for form in forms:
        alike = [[row for row in rows if (row.instruction, row.output) == form] for rows in (members, others)]
        count = min(share, *map(len, alike))
        for kind, rows in zip(kinds, alike, strict=True):
            kind += [rows[place] for place in chosen_of(range(len(rows)), count, 0)]
    return kinds
