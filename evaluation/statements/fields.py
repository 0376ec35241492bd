"""Reads the fields of JSON documents that others wrote, each with its type."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, TypeVar

from evaluation.statements.errors import StatementError

T = TypeVar("T")
_SECOND = "%Y-%m-%dT%H:%M:%SZ"


def document(content: str | bytes, what: str) -> dict[str, Any]:
    """The JSON object in it. Raises StatementError."""
    try:
        found = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise StatementError(f"{what} is no JSON.") from error
    return as_object(found, what)


def as_object(value: object, what: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise StatementError(f"{what} is no JSON object.")
    return value


def field(row: Mapping[str, Any], name: str, kind: type[T], what: str) -> T:
    """The member of that type. Raises StatementError where it is missing or another."""
    value = row.get(name)
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise StatementError(f"{what} has no {name} of the right kind.")
    return value


def text(row: Mapping[str, Any], name: str, what: str) -> str:
    """A member that can be written again: JSON may hold half a surrogate pair, which no encoding has."""
    found = field(row, name, str, what)
    if not found.isascii() and any("\ud800" <= character <= "\udfff" for character in found):
        raise StatementError(f"{what}: {name} is no text.")
    return found


def binary(row: Mapping[str, Any], name: str, what: str) -> bytes:
    """A member in base64, standard or for URLs, with or without padding."""
    return decoded(field(row, name, str, what), f"{what}: {name}")


def decoded(base64_text: str, what: str) -> bytes:
    plain = base64_text.rstrip("=").replace("-", "+").replace("_", "/")
    try:
        return base64.b64decode(plain + "=" * (-len(plain) % 4), validate=True)
    except (binascii.Error, ValueError) as error:
        raise StatementError(f"{what} is no base64.") from error


def hashes(row: Mapping[str, Any], name: str, what: str) -> tuple[bytes, ...]:
    """A list of SHA-256 digests in base64."""
    found = tuple(
        decoded(one, f"{what}: {name}") if isinstance(one, str) else b""
        for one in field(row, name, list, what)
    )
    if any(len(one) != 32 for one in found):
        raise StatementError(f"{what}: {name} holds what is no SHA-256 digest.")
    return found


def moment(row: Mapping[str, Any], name: str, what: str) -> datetime:
    """A time in UTC, to the second."""
    said = field(row, name, str, what)
    try:
        return datetime.strptime(f"{said}+0000", f"{_SECOND}%z")
    except ValueError as error:
        raise StatementError(f"{what}: {name} is no time like 2026-11-29T12:00:00Z.") from error


def encoded(content: bytes) -> str:
    return base64.b64encode(content).decode("ascii")


def written(time: datetime) -> str:
    """A time as `moment` reads it."""
    if time.utcoffset() != timedelta(0):
        raise ValueError(f"{time} is not in UTC")
    return time.strftime(_SECOND)
