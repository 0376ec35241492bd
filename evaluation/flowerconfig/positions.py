"""On which line each key of a TOML document stands; the standard library's parser does not say.

The scan relies on the text being valid TOML (https://toml.io/en/v1.0.0): parse it before. Of other text
the lines up to the first fault are found.
"""

from __future__ import annotations

import re

from evaluation.backports import tomllib

KeyPath = tuple[str, ...]

_BLANK = re.compile(r"(?:[ \t\r\n]+|#[^\n]*)*")
_SPACE = re.compile(r"[ \t]*")
_KEY = re.compile(r"""[A-Za-z0-9_\-]+|"(?:[^"\\\n]|\\.)*"|'[^'\n]*'""")
# One piece of a value. A quotation mark or two may precede the three that end a multi-line string.
_VALUE_PIECE = re.compile(
    r'"""(?:[^"\\]|\\.|"(?!""))*"""(?:"{1,2})?'
    r"|'''(?:[^']|'(?!''))*'''(?:'{1,2})?"
    r'|"(?:[^"\\\n]|\\.)*"'
    r"|'[^'\n]*'"
    r"|#[^\n]*"
    r"|[\[{]|[\]}]|\n|[^\"'#\[\]{}\n]+",
    re.DOTALL,
)


def key_lines(text: str) -> dict[KeyPath, int]:
    """The first line, from 1, of every table header and every key outside of inline tables."""
    lines: dict[KeyPath, int] = {}
    table: KeyPath = ()
    position, line, counted = 0, 1, 0
    while (position := _end(_BLANK, text, position)) < len(text):
        line += text.count("\n", counted, position)
        counted = position
        if text[position] == "[":
            opening = 2 if text.startswith("[[", position) else 1
            table, position = _key_path(text, position + opening)
            if not table:
                break
            lines.setdefault(table, line)
            position += opening
        else:
            key, position = _key_path(text, position)
            if not key:
                break
            lines.setdefault(table + key, line)
            position = _value_end(text, position + 1)  # after the equals sign
    return lines


def _key_path(text: str, position: int) -> tuple[KeyPath, int]:
    """The dotted key that begins at `position` (empty: none) and where it ends, spaces included."""
    parts: list[str] = []
    while True:
        position = _end(_SPACE, text, position)
        match = _KEY.match(text, position)
        part = _plain(match.group()) if match else None
        if match is None or part is None:
            return (), position
        parts.append(part)
        position = _end(_SPACE, text, match.end())
        if text[position : position + 1] != ".":
            return tuple(parts), position
        position += 1


def _plain(key: str) -> str | None:
    """A key without its quotes; None where it escapes what TOML does not."""
    if key[0] == '"' and "\\" in key:
        try:
            return str(next(iter(tomllib.loads(f"{key}=0"))))
        except tomllib.TOMLDecodeError:
            return None
    return key[1:-1] if key[0] in "\"'" else key


def _value_end(text: str, position: int) -> int:
    """The end of the line on which the value that begins at `position` ends."""
    depth = 0
    while match := _VALUE_PIECE.match(text, position):
        piece = match.group()
        if piece == "\n" and depth == 0:
            return position
        depth += (piece in ("[", "{")) - (piece in ("]", "}"))
        position = match.end()
    return position


def _end(pattern: re.Pattern[str], text: str, position: int) -> int:
    match = pattern.match(text, position)
    return match.end() if match else position
