"""Typed reading of an app's configuration: a value is right, or there is a finding that names its line."""

from __future__ import annotations

import datetime
import json
import math
import re
from collections.abc import Sequence
from typing import TypeGuard

from evaluation.findings import FindingCollector, excerpt
from evaluation.flowerconfig.document import Document
from evaluation.flowerconfig.layouts import Entry
from evaluation.flowerconfig.positions import KeyPath
from evaluation.flowerconfig.templates import is_placeholder
from evaluation.method.card import Scalar

MAX_TEXT = 200
MAX_NAMES = 256
MAX_COUNT = 10_000_000
MAX_MAGNITUDE = 10**15
_YES = ("1", "true", "yes", "on")
_NO = ("0", "false", "no", "off", "none")


class AppValues:
    """The values of an app's configuration by what their keys mean.

    A field is asked for by regular expressions that match its keys (`Entry.key`), the usual one first.
    Every key that any expression matches counts as known. Reading a wrong value adds one error.
    An empty text, which FlowerTune's template has for what its code fills in, means the same as no value.
    """

    def __init__(self, entries: Sequence[Entry], document: Document, findings: FindingCollector) -> None:
        self._document = document
        self._findings = findings
        self._known: set[KeyPath] = set()
        self._reported: set[tuple[str, KeyPath]] = set()
        self._all = tuple(entries)
        self._entries = [entry for entry in entries if not self._is_placeholder(entry)]

    @property
    def unknown(self) -> list[Entry]:
        """What nobody asked for, in the file's order."""
        return [entry for entry in self._entries if entry.path not in self._known]

    def states(self, patterns: Sequence[str]) -> bool:
        """Whether any entry but an empty one has a key of this field; its value may be wrong."""
        return any(
            re.fullmatch(pattern, entry.key)
            for entry in self._all
            for pattern in patterns
            if entry.value not in ("", [])
        )

    def matching(self, pattern: str) -> list[Entry]:
        """All entries whose whole key matches; they count as known."""
        matched = [entry for entry in self._entries if re.fullmatch(pattern, entry.key)]
        self._known.update(entry.path for entry in matched)
        return matched

    def entry(self, *patterns: str) -> Entry | None:
        """The value of one field; one that stands in the file twice with different values is reported."""
        matched = [entry for pattern in patterns for entry in self.matching(pattern)]
        found = [entry for entry in matched if entry.value not in ("", [])]
        for other in found[1:]:
            if other.path != found[0].path and _differ(other.value, found[0].value):
                message = (
                    f"{_key(other)} is {_shown(other.value)} here, but {_key(found[0])} is "
                    f"{_shown(found[0].value)}, which is taken. Keep the one that the run used."
                )
                self.warn("config.conflict", message, other.path)
        return found[0] if found else None

    def text(self, *patterns: str) -> str | None:
        entry = self.entry(*patterns)
        if entry is None:
            return None
        if isinstance(entry.value, str) and _is_clean(entry.value):
            return entry.value.strip() or None
        self.refuse(entry, f"a text of at most {MAX_TEXT} printable characters")
        return None

    def count(self, *patterns: str, least: int = 1) -> int | None:
        """A whole number; 4.0 is 4."""
        entry = self.entry(*patterns)
        return None if entry is None else self.count_of(entry, least)

    def count_of(self, entry: Entry, least: int = 1) -> int | None:
        """The whole number in `entry`, or None and an error."""
        value = entry.value
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if isinstance(value, int) and not isinstance(value, bool) and least <= value <= MAX_COUNT:
            return value
        self.refuse(entry, f"a whole number from {least} to {MAX_COUNT:,}")
        return None

    def number(self, *patterns: str, least: float = 0.0, most: float = 1e6) -> float | None:
        entry = self.entry(*patterns)
        if entry is None:
            return None
        if is_number(entry.value) and least <= entry.value <= most:
            return float(entry.value)
        self.refuse(entry, f"a number from {least:g} to {most:g}")
        return None

    def fraction(self, *patterns: str) -> float | None:
        """A number over 0, 1 at most."""
        entry = self.entry(*patterns)
        if entry is None:
            return None
        if is_number(entry.value) and 0 < entry.value <= 1:
            return float(entry.value)
        self.refuse(entry, "a number over 0, 1 at most")
        return None

    def flag(self, *patterns: str) -> bool | None:
        entry = self.entry(*patterns)
        return None if entry is None else self.flag_of(entry)

    def flag_of(self, entry: Entry) -> bool | None:
        """true or false, also as 0 and 1 or as a text."""
        value = str(entry.value).strip().lower() if isinstance(entry.value, bool | int | str) else ""
        if value in _YES or value in _NO:
            return value in _YES
        self.refuse(entry, "true or false")
        return None

    def names(self, *patterns: str) -> tuple[str, ...] | None:
        """A list of names: an array, a text with commas, or a text that looks like an array."""
        entry = self.entry(*patterns)
        if entry is None:
            return None
        names = _names(entry.value)
        if names and len(names) <= MAX_NAMES and all(_is_clean(name) for name in names):
            return names
        self.refuse(entry, f"1 to {MAX_NAMES} names, as an array or a text with commas")
        return None

    def scalar_of(self, entry: Entry) -> Scalar | None:
        """A value of any simple type, within bounds that JSON and databases share."""
        value = entry.value
        if isinstance(value, bool) or (is_number(value) and abs(value) <= MAX_MAGNITUDE):
            return value
        if isinstance(value, str) and _is_clean(value):
            return value
        self.refuse(entry, f"a finite number or a text of at most {MAX_TEXT} printable characters")
        return None

    def refuse(self, entry: Entry, expected: str) -> None:
        if self._is_new("config.value", entry.path):
            message = f"It has to be {expected}, not {_shown(entry.value)}."
            self._findings.error("config.value", message, self._document.place(entry.path))

    def warn(self, code: str, message: str, path: KeyPath) -> None:
        """One warning a code and place, however often it is found."""
        if self._is_new(code, path):
            self._findings.warning(code, message, self._document.place(path))

    def note(self, code: str, message: str, path: KeyPath) -> None:
        """One note a code and place, however often it is found."""
        if self._is_new(code, path):
            self._findings.note(code, message, self._document.place(path))

    def _is_new(self, code: str, path: KeyPath) -> bool:
        new = (code, path) not in self._reported
        self._reported.add((code, path))
        return new

    def _is_placeholder(self, entry: Entry) -> bool:
        if not isinstance(entry.value, str) or not is_placeholder(entry.value):
            return False
        self._known.add(entry.path)
        message = (
            f"{_shown(entry.value)} is a template's placeholder that was never filled in. "
            "Write the value that the run used."
        )
        self._findings.error("config.template", message, self._document.place(entry.path))
        return True


def is_number(value: object) -> TypeGuard[int | float]:
    """A finite number of TOML; true and false are none."""
    return type(value) is int or (isinstance(value, float) and math.isfinite(value))


def _names(value: object) -> tuple[str, ...] | None:
    if isinstance(value, str):
        inner = value.strip()
        if len(inner) > 1 and inner[0] in "[(" and inner[-1] in "])" and not set(inner[1:-1]) & set("()[]|*"):
            inner = inner[1:-1]  # "[q_proj, v_proj]", as YAML and Python write lists
        plain = re.fullmatch(r"""[\w.\-\s,'"]+""", inner) is not None
        pieces = re.split(r"[,\s]+", inner) if plain else [inner]  # anything else is one regular expression
        return tuple(dict.fromkeys(piece.strip("'\"") for piece in pieces if piece.strip("'\"")))
    if isinstance(value, list) and all(isinstance(name, str) and name.strip() for name in value):
        return tuple(dict.fromkeys(name.strip() for name in value))
    return None


def _key(entry: Entry) -> str:
    return excerpt(entry.path[-1], 60)


def _differ(one: object, other: object) -> bool:
    """Whether two values mean different things; 1, 1.0 and true do not by accident."""
    if isinstance(one, bool) or isinstance(other, bool):
        return str(one).lower() != str(other).lower()
    return one != other


def _shown(value: object) -> str:
    """A value for a message; arrays by kind alone, since they may be huge."""
    if isinstance(value, list):
        return "this array"
    if isinstance(value, datetime.date | datetime.time | datetime.datetime):
        return f"the date or time {value.isoformat()}"
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) > 10**18:
        return "a number of more than 18 digits"
    return excerpt(json.dumps(value, ensure_ascii=False), 60)


def _is_clean(text: str) -> bool:
    return len(text) <= MAX_TEXT and text.isprintable()
