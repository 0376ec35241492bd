"""Training rows: reading them, writing them as text for the model, and sharing them among the clients."""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from evaluation.data import training
from evaluation.data.register import RegisterFile
from evaluation.data.training import COLUMNS
from evaluation.errors import DataError
from evaluation.rules import challenges

__all__ = [
    "COLUMNS",
    "DEMONSTRATION",
    "HUB",
    "Row",
    "Tokens",
    "TrainingData",
    "batches",
    "encode",
    "locate",
    "read",
]

DEMONSTRATION = Path(__file__).resolve().parents[1] / "demonstration" / "train"
HUB = "hub"
"""Said in place of a path: the challenge's own training set."""
_KINDS = (".jsonl", ".parquet")


@dataclass(frozen=True)
class Row:
    """One training row. `input` may be empty. `others` are its further columns that are text or numbers."""

    instruction: str
    input: str
    output: str
    others: tuple[tuple[str, str], ...] = ()

    @property
    def prompt(self) -> str:
        """What the model reads: FinGPT's training form, for all challenges.

        It ends with the blank after `Answer:`, as the finance benchmarks' prompts do.
        """
        middle = f"Input: {self.input}\n" if self.input else ""
        return f"Instruction: {self.instruction}\n{middle}Answer: "


@dataclass(frozen=True)
class TrainingData:
    """All rows of a run. `digest` is the SHA-256 of the three columns of each row as canonical JSON lines.

    `origin` is the data set and commit of rows that were fetched from the hub, and then their `name` too; it
    is empty for others.
    """

    name: str
    rows: tuple[Row, ...]
    digest: str
    demonstration: bool
    origin: str = ""

    def identity(self, column: str | None) -> str:
        """What tells these rows from others: `digest`, with the values of a further column that decides."""
        if column is None or column in COLUMNS:
            return self.digest
        values = json.dumps([self.digest, self.column(column)])
        return hashlib.sha256(values.encode()).hexdigest()

    def column(self, name: str) -> tuple[str, ...]:
        """The values of any column, as text. Raises DataError that counts the rows without it."""
        if name in COLUMNS:
            return tuple(getattr(row, name) for row in self.rows)
        values = [dict(row.others).get(name) for row in self.rows]
        missing = values.count(None)
        if missing:
            raise DataError(f"{self.name}: {missing} of {len(values)} rows have no column {name!r}")
        return tuple(value for value in values if value is not None)


@dataclass(frozen=True)
class Tokens:
    """A row in the model's vocabulary; loss is taken on `answer` only, which ends with the end token."""

    prompt: tuple[int, ...]
    answer: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.prompt) + len(self.answer)


def locate(location: Path | None, challenge: str) -> Path:
    """The file meant: itself, the challenge's file of a folder, the built-in demonstration rows for None, or
    for `hub` the challenge's training set, fetched if it is not here.

    Raises DataError when there is none; HubError where the hub is at fault or out of reach.
    """
    if location == Path(HUB):
        wanted = challenges.get(challenge).training_set
        return training.fetch(wanted, training.default_folder(), RegisterFile())
    path = DEMONSTRATION if location is None else location
    if path.is_dir():
        name = challenge.replace("-", "_")
        found = [file for kind in _KINDS if (file := path / f"{name}{kind}").is_file()]
        if len(found) > 1:
            raise DataError(f"{path} has both {found[0].name} and {found[1].name}: remove the one not meant")
        path = found[0] if found else path / f"{name}.jsonl"
    if not path.is_file():
        raise DataError(f"training data {path} does not exist")
    return path


@lru_cache(maxsize=1)  # a simulated client process serves many clients with the same file
def read(path: Path) -> TrainingData:
    """Read a file of training rows, JSON lines or another kind that data come in.

    Raises DataError that names row and column.
    """
    rows = tuple(row for _, row in training.read(path))
    if not rows:
        raise DataError(f"training data {path} has no rows")
    origin = training.origin_of(path)
    demonstration = path.resolve().parent == DEMONSTRATION
    name = origin or (f"demonstration/train/{path.name}" if demonstration else path.name)
    digest = training.digest_of(rows)
    own = tuple(Row(row.instruction, row.input, row.output, row.others) for row in rows)
    return TrainingData(name, own, digest, demonstration, origin)


def encode(row: Row, tokenizer: Any, length: int) -> Tokens:
    """Tokenise a row to `length` tokens at most.

    Prompt and answer are tokenised apart, so that the prompt's tokens are those of an evaluation prompt.
    Where both do not fit, the answer loses its end but keeps half of the room, the prompt its beginning.
    """
    prompt = tokenizer(row.prompt)["input_ids"]
    answer = [*tokenizer(row.output, add_special_tokens=False)["input_ids"], tokenizer.eos_token_id]
    answer = answer[: max(length - len(prompt), length // 2)]
    return Tokens(tuple(prompt[max(0, len(prompt) + len(answer) - length) :]), tuple(answer))


def batches(rows: Sequence[Tokens], size: int, steps: int, order: random.Random) -> list[list[Tokens]]:
    """`steps` batches of `size` rows each, drawn in passes over shuffled rows, batches of like length.

    The rows of all steps are drawn first, then grouped by length and the groups shuffled, so that little is
    padding. Fewer rows than `size` make the same row appear again in a later pass, never a smaller batch.
    """
    passes = _passes(rows, order)
    drawn = sorted((next(passes) for _ in range(size * steps)), key=len)
    groups = [drawn[start : start + size] for start in range(0, len(drawn), size)]
    order.shuffle(groups)
    return groups


def _passes(rows: Sequence[Tokens], order: random.Random) -> Iterator[Tokens]:
    while True:
        yield from order.sample(rows, len(rows))
