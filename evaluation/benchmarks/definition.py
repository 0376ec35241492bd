"""What a benchmark is: a few facts, a function from row to sample, and a rule that reads the answer."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

from evaluation.benchmarks.samples import Decoding, Row
from evaluation.languages import Language
from evaluation.rules.protocol import Protocol


def _unchanged(value: object) -> object:
    return value


@dataclass(frozen=True)
class Column:
    """A column that a benchmark reads: its name, which values it may hold, and those in words.

    `canonical` comes first: it gives the values that file formats write differently one form.
    """

    name: str
    accepts: Callable[[object], bool]
    expected: str
    canonical: Callable[[object], object] = _unchanged


def whole(value: object) -> object:
    """A whole number as an integer, whichever way it is written: Parquet from pandas often holds doubles."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def text(name: str) -> Column:
    return Column(name, lambda value: isinstance(value, str), "text")


def texts(name: str) -> Column:
    return Column(
        name, lambda v: isinstance(v, list) and all(isinstance(t, str) for t in v), "a list of texts"
    )


def number(name: str) -> Column:
    """Kept as a float, so that 0 and 0.0 are the same."""
    return Column(
        name,
        lambda v: isinstance(v, float) and math.isfinite(v),
        "a number",
        lambda v: float(v) if isinstance(v, int) and not isinstance(v, bool) and abs(v) < 2**53 else v,
    )


def one_of(name: str, *values: int | str) -> Column:
    # `True == 1` in Python, but true is no label in a data file.
    return Column(
        name,
        lambda v: not isinstance(v, (bool, float)) and v in values,
        f"one of {', '.join(map(repr, values))}",
        whole,
    )


def label(name: str, *names: str) -> Column:
    """A label as its position among `names`; a file may hold the names themselves."""
    column = one_of(name, *range(len(names)))
    return replace(
        column,
        expected=f"{column.expected}, or {', '.join(names)}",
        canonical=lambda v: names.index(v) if isinstance(v, str) and v in names else whole(v),
    )


CountTokens = Callable[[str], int]
"""How many tokens a text is under the model's tokenizer, special tokens left out."""


@dataclass(frozen=True)
class Question:
    """What a row becomes: the prompt and the lower-case label that is right.

    Of a program, `setup` runs before prompt and completion and `tests` after them.
    """

    prompt: str
    target: str
    setup: str = ""
    tests: str = ""


@dataclass(frozen=True)
class HubFiles:
    """Where a benchmark's rows stand on the hub: data files only, read one after another.

    `revision` is a commit; a branch only where no commit is known, and then the digest alone tells whether
    the rows are still the same. `normalise` turns a row as it stands there into one with the benchmark's own
    columns, with KeyError, IndexError, TypeError or ValueError where it is none of the expected form.
    `member` is the text file to read from a ZIP archive. `order_by` names the column that the rows are sorted
    by, where the file's own order is another; rows of one value keep theirs. `licence` is the one that the
    data set's page states, empty where it states none that is known here.
    """

    dataset: str
    revision: str
    files: tuple[str, ...]
    normalise: Callable[[Row], Row] = lambda row: row
    member: str | None = None
    order_by: str | None = None
    licence: str = ""


@dataclass(frozen=True)
class Quarter:
    """The test split of rows that have none: `train_test_split(0.25, seed=42)["test"]` of `datasets`.

    `of` is the official number of rows that it is taken from. `trained` is the share of the same shuffle
    after which the rows of the training set begin, which its makers split off with that test size. Rows
    with the same `text` are the same to a model that was trained on one of them.
    """

    of: int
    trained: float
    text: str = "sentence"


@dataclass(frozen=True)
class Benchmark:
    """One benchmark of a challenge.

    Data: the rows of `<file>.jsonl` or `<file>.parquet`, or of `hub`, for which `selects` holds, and of those
    the test quarter where `quarter` is set; `columns` are the ones that the benchmark reads and its digest
    covers. `rows` and `digest` identify the official data; digest None leaves that to a register of digests
    (evaluation.data.register). `stand_in` names another file in the same columns which may replace a missing
    one, never officially. `leaked` are the positions of those official items that stand in the training set
    as well.

    For readers: `measures` says what is measured, `paper` is the arXiv number or DOI of where it comes from,
    `remark` what one should know of the data, in sentences.

    Scoring: `ask` builds the question from a row whose columns are accepted (DataError where they don't fit
    together), `decoding` gives the limits, `read` turns a completion's text into a prediction, which is
    right when it equals the target. Where `language` is set, the completion is a piece of a program: `read`
    cuts it to what is run, and the prediction is how the program fared with its tests.
    """

    slug: str
    title: str
    challenge: str
    source: str
    file: str
    hub: HubFiles
    columns: tuple[Column, ...]
    rows: int
    digest: str | None
    labels: tuple[str, ...]
    ask: Callable[[Row, Protocol], Question]
    decoding: Callable[[Protocol, CountTokens], Decoding]
    read: Callable[[str], str]
    language: Language | None = None
    id_column: str | None = None
    selects: Callable[[Row], bool] = lambda _row: True
    quarter: Quarter | None = None
    stand_in: str | None = None
    group_column: str | None = None
    leaked: tuple[int, ...] = ()
    measures: str = ""
    paper: str = ""
    remark: str = ""

    @property
    def metric(self) -> Literal["accuracy", "pass@1"]:
        return "accuracy" if self.language is None else "pass@1"
