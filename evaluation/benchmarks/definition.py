"""What a benchmark is: a few facts, a function from row to sample, and a rule that reads the answer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from evaluation.protocol import Protocol
from evaluation.samples import Decoding, Row


@dataclass(frozen=True)
class Column:
    """A column that a benchmark reads: its name, which values it may hold, and those in words."""

    name: str
    accepts: Callable[[object], bool]
    expected: str


def text(name: str) -> Column:
    return Column(name, lambda value: isinstance(value, str), "text")


def texts(name: str) -> Column:
    return Column(
        name, lambda v: isinstance(v, list) and all(isinstance(t, str) for t in v), "a list of texts"
    )


def number(name: str) -> Column:
    return Column(name, lambda v: isinstance(v, (int, float)) and not isinstance(v, bool), "a number")


def one_of(name: str, *values: int | str) -> Column:
    # `True == 1` in Python, but true is no label in a data file.
    return Column(
        name,
        lambda v: not isinstance(v, (bool, float)) and v in values,
        f"one of {', '.join(map(repr, values))}",
    )


CountTokens = Callable[[str], int]
"""How many tokens a text is under the model's tokenizer, special tokens left out."""


@dataclass(frozen=True)
class Question:
    """What a row becomes: the prompt and the lower-case label that is right."""

    prompt: str
    target: str


@dataclass(frozen=True)
class Benchmark:
    """One benchmark of a challenge.

    Data: the rows of `<file>.jsonl` for which `selects` holds, and of those the test quarter where
    `quarter` is set; `columns` are the ones that the benchmark reads and its digest covers. `rows` and
    `digest` identify the official data; digest None means that no official digest is recorded yet.
    `stand_in` names another file in the same columns which may replace a missing one, never officially.

    Scoring: `ask` builds the question from a row whose columns are accepted (DataError where they don't fit
    together), `decoding` gives the limits, `read` turns a completion's text into a prediction, which is
    right when it equals the target.
    """

    slug: str
    title: str
    challenge: str
    source: str
    file: str
    columns: tuple[Column, ...]
    rows: int
    digest: str | None
    labels: tuple[str, ...]
    ask: Callable[[Row, Protocol], Question]
    decoding: Callable[[Protocol, CountTokens], Decoding]
    read: Callable[[str], str]
    metric: Literal["accuracy"] = "accuracy"
    id_column: str | None = None
    selects: Callable[[Row], bool] = lambda _row: True
    quarter: bool = False
    stand_in: str | None = None
    group_column: str | None = None
