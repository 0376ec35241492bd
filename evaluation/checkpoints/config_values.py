"""Typed reading of a stranger's JSON object: a value is right, or there is a finding that names its key."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import TypeGuard

from evaluation.findings import FindingCollector, excerpt

MAX_TEXT = 4096
MAX_ENTRIES = 4096
MAX_PLAIN_NAMES = 64
MAX_NUMBER = 1_000_000
_PLAIN = re.compile(r"[A-Za-z0-9_.\-]+")


class ConfigValues:
    """Values of `document` by key. `asked` collects the keys read so far.

    A missing key and null mean the same. Reading a wrong value adds one finding, however often it is
    read, and returns the type's neutral value.
    """

    def __init__(self, document: Mapping[str, object], file_name: str, findings: FindingCollector) -> None:
        self.document = document
        self.asked: set[str] = set()
        self._file_name = file_name
        self._findings = findings
        self._wrong: set[str] = set()

    def raw(self, key: str) -> object:
        self.asked.add(key)
        return self.document.get(key)

    def is_wrong(self, key: str) -> bool:
        """Whether a value of the wrong type was read, so that what it lacks is no further mistake."""
        return key in self._wrong

    def text(self, key: str) -> str | None:
        value = self.raw(key)
        if value is None or (isinstance(value, str) and _is_clean(value)):
            return value
        self._refuse(key, f"a text of at most {MAX_TEXT:,} printable characters")
        return None

    def flag(self, key: str) -> bool:
        value = self.raw(key)
        if value is None or isinstance(value, bool):
            return bool(value)
        self._refuse(key, "true or false")
        return False

    def positive_integer(self, key: str) -> int:
        value = self._required(key)
        if _is_positive_integer(value):
            return value
        self._refuse(key, f"an integer from 1 to {MAX_NUMBER:,}")
        return 1

    def positive_number(self, key: str) -> float:
        value = self._required(key)
        if _is_positive_number(value):
            return value
        self._refuse(key, f"a positive number, {MAX_NUMBER:,} at most")
        return 1

    def fraction(self, key: str) -> float:
        value = self.raw(key)
        if value is None:
            return 0.0
        if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1:
            return value
        self._refuse(key, "a number from 0 to 1")
        return 0.0

    def names_or_pattern(self, key: str) -> tuple[str, ...] | str | None:
        value = self.raw(key)
        if isinstance(value, str) and _is_clean(value):
            return value
        if value is None:
            return None
        if _is_name_list(value):
            return tuple(value)
        self._refuse(key, "a list of module names or one regular expression")
        return None

    def plain_names(self, key: str) -> tuple[str, ...]:
        value = self.raw(key)
        if value is None:
            return ()
        listed = [value] if isinstance(value, str) else value
        if _is_name_list(listed) and len(listed) <= MAX_PLAIN_NAMES and all(map(_PLAIN.fullmatch, listed)):
            return tuple(listed)
        self._refuse(
            key, f"a list of at most {MAX_PLAIN_NAMES} module names (letters, digits, _, - and dots)"
        )
        return ()

    def layer_numbers(self, key: str) -> tuple[int, ...]:
        value = self.raw(key)
        listed = [value] if type(value) is int else value
        if listed is None:
            return ()
        if isinstance(listed, list) and all(type(item) is int and 0 <= item <= MAX_NUMBER for item in listed):
            return tuple(listed)
        self._refuse(key, "a layer number or a list of them")
        return ()

    def integer_map(self, key: str) -> dict[str, int]:
        value = self._map(key)
        numbers = {name: item for name, item in value.items() if _is_positive_integer(item)}
        if len(numbers) == len(value):
            return numbers
        self._refuse(key, f"a map from module names to integers from 1 to {MAX_NUMBER:,}")
        return {}

    def number_map(self, key: str) -> dict[str, float]:
        value = self._map(key)
        numbers = {name: item for name, item in value.items() if _is_positive_number(item)}
        if len(numbers) == len(value):
            return numbers
        self._refuse(key, "a map from module names to positive numbers")
        return {}

    def error(self, code: str, key: str, message: str) -> None:
        self._findings.error(code, message, self._place(key))

    def warning(self, code: str, key: str, message: str) -> None:
        self._findings.warning(code, message, self._place(key))

    def note(self, code: str, key: str, message: str) -> None:
        self._findings.note(code, message, self._place(key))

    def _map(self, key: str) -> Mapping[str, object]:
        value = self.raw(key)
        if value is None:
            return {}
        if (
            isinstance(value, dict)
            and len(value) <= MAX_ENTRIES
            and all(name and _is_clean(name) for name in value)
        ):
            return value
        self._refuse(key, "a map from module names to numbers")
        return {}

    def _required(self, key: str) -> object:
        value = self.raw(key)
        if value is None and key not in self._wrong:
            self._wrong.add(key)
            self.error("adapter_config.missing", key, "The key is missing. Upload the file that PEFT wrote.")
        return value

    def _refuse(self, key: str, expected: str) -> None:
        if key not in self._wrong:
            self._wrong.add(key)
            self.error(
                "adapter_config.type", key, f"It has to be {expected}, not {_shown(self.document.get(key))}."
            )

    def _place(self, key: str) -> str:
        return f"{self._file_name}: {key}" if key else self._file_name


def _shown(value: object) -> str:
    """A value for a message; lists and objects by kind alone, since they may be huge."""
    if isinstance(value, list | dict):
        return f"this {'list' if isinstance(value, list) else 'object'}"
    return excerpt(json.dumps(value, ensure_ascii=False), 60)


def _is_clean(text: str) -> bool:
    return len(text) <= MAX_TEXT and text.isprintable()


def _is_name_list(value: object) -> TypeGuard[list[str]]:
    return (
        isinstance(value, list)
        and len(value) <= MAX_ENTRIES
        and all(isinstance(item, str) and item and _is_clean(item) for item in value)
    )


def _is_positive_integer(value: object) -> TypeGuard[int]:
    return type(value) is int and 1 <= value <= MAX_NUMBER


def _is_positive_number(value: object) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 < value <= MAX_NUMBER
