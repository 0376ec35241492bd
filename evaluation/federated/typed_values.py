"""Settings from JSON, each of the type that its field has, or an error that names it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from functools import cache
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

from evaluation.errors import EvaluationError


def typed(kind: type[Any], values: Mapping[str, Any], place: str) -> Any:
    """An object of the dataclass `kind` from JSON values. Raises EvaluationError that names the field."""
    hints = _hints(kind)  # type: ignore[arg-type]  # mypy takes no class for hashable
    known = {field.name: field for field in fields(kind)}
    for name in values:
        if name not in known:
            raise EvaluationError(f"{place}{name} is no setting of a run")
    given = {name: _value(hints[name], value, place + name) for name, value in values.items()}
    missing = [n for n, field in known.items() if n not in given and field.default is MISSING]
    if missing:
        raise EvaluationError(f"{place}{missing[0]} is missing")
    return kind(**given)


@cache
def _hints(kind: type[Any]) -> Mapping[str, Any]:
    """The types of its fields: reading them takes longer than all else, and a study has thousands of runs."""
    return get_type_hints(kind)


def _value(hint: Any, value: Any, place: str) -> Any:
    """`value` as the type `hint`, one of those that the fields of a run have."""
    if type(None) in get_args(hint):
        if value is None:
            return None
        hint = next(part for part in get_args(hint) if part is not type(None))
    if is_dataclass(hint) and isinstance(hint, type) and isinstance(value, Mapping):
        return typed(hint, value, f"{place}.")
    if hint is Path and isinstance(value, str):
        return Path(value)
    if hint == tuple[tuple[str, float], ...] and isinstance(value, Mapping):
        return tuple(sorted((str(k), _value(float, v, f"{place}.{k}")) for k, v in value.items()))
    if get_origin(hint) is tuple and isinstance(value, list):
        return tuple(_value(get_args(hint)[0], item, place) for item in value)
    if hint is float and type(value) in (int, float):
        return float(value)
    if hint in (bool, int, str) and type(value) is hint:
        return value
    raise EvaluationError(f"{place} cannot be {json.dumps(value, ensure_ascii=False, default=str):.60}")
