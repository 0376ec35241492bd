"""JSON from strangers: one object, nothing twice, finite numbers, no way to exhaust the parser."""

from __future__ import annotations

import json
import math
from collections import Counter
from typing import NoReturn

from evaluation.findings import excerpt

MAX_DIGITS = 20


class JsonError(ValueError):
    """The text is refused. `place` is "line L, column C" where it is known, else ""."""

    def __init__(self, message: str, place: str = "") -> None:
        super().__init__(message)
        self.place = place


class DuplicateKeyError(JsonError):
    """An object names a key twice; readers differ on which of the two counts."""


def parse_object(raw: bytes) -> dict[str, object]:
    """The JSON object that is all of `raw` (UTF-8).

    Raises JsonError on anything else, on NaN and Infinity (also as 1e999), on integers of more than
    `MAX_DIGITS` digits and on nesting past the interpreter's limit; DuplicateKeyError on a key twice.
    """
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise JsonError(f"it is not UTF-8 text (byte {error.start} is 0x{raw[error.start]:02x})") from error
    try:
        value = json.loads(
            text,
            object_pairs_hook=_unique,
            parse_constant=_no_constant,
            parse_float=_finite,
            parse_int=_bounded,
        )
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}"
        raise JsonError(f"it is not JSON: {error.msg}", place) from error
    except RecursionError as error:
        raise JsonError("it is nested too deeply") from error
    if not isinstance(value, dict):
        raise JsonError("it is JSON, but not an object ({…})")
    return value


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    result = dict(pairs)
    if len(result) != len(pairs):
        (twice, _), *_ = Counter(key for key, _ in pairs).most_common(1)
        raise DuplicateKeyError(f'it names "{excerpt(twice)}" twice')
    return result


def _no_constant(name: str) -> NoReturn:
    raise JsonError(f"it holds {name}, which is not JSON")


def _finite(digits: str) -> float:
    value = float(digits)
    if not math.isfinite(value):
        raise JsonError(f"it holds a number that is too large: {excerpt(digits, 30)}")
    return value


def _bounded(digits: str) -> int:
    if len(digits) > MAX_DIGITS:
        raise JsonError(f"it holds an integer that is too large: {excerpt(digits, 30)}")
    return int(digits)
