"""A stranger's pyproject.toml as a TOML document, or findings that name the place."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property

from evaluation.backports import tomllib
from evaluation.checkpoints.foreign_files import foreign_kind
from evaluation.findings import FindingCollector, excerpt
from evaluation.flowerconfig.positions import KeyPath, key_lines
from evaluation.flowerconfig.templates import placeholders

CONFIG_FILE = "pyproject.toml"
MAX_SIZE = 256 * 1024
MAX_DEPTH = 64
# Python's parser takes time quadratic in the parts of a dotted key, so those are counted beforehand.
MAX_KEY_PARTS = 128
MAX_VALUES = 5_000  # an app's file has some 60

_SEGMENT_ENDS = re.compile(r"[=,{]")
_POSITION = re.compile(r" \(at (?:line (?P<line>\d+), column (?P<column>\d+)|end of document)\)$")
_LONG_NUMBER = re.compile(r"[0-9_]{4000,}")
_SEND = "Send the Flower app's pyproject.toml."
_UTF16_MARKS = (b"\xff\xfe", b"\xfe\xff")


@dataclass(frozen=True)
class Document:
    """`values` as TOML means them, `text` as it was sent; `name` is how findings call the file."""

    name: str
    text: str
    values: dict[str, object]

    @cached_property
    def _lines(self) -> dict[KeyPath, int]:
        return key_lines(self.text)

    def line(self, path: KeyPath) -> int | None:
        """The line of the key at `path`, or of what encloses it where the key stands in an inline table."""
        while path:
            if path in self._lines:
                return self._lines[path]
            path = path[:-1]
        return None

    def place(self, path: KeyPath) -> str:
        """`pyproject.toml: line 12, tool.flwr.app.config.model.name`."""
        line, key = self.line(path), excerpt(".".join(path), 160)
        return f"{self.name}: line {line}, {key}" if line else f"{self.name}: {key}"


def parse_document(content: bytes, name: str, findings: FindingCollector) -> Document | None:
    """The document, or None and an error among `findings`.

    Refuses what is over `MAX_SIZE` bytes, not UTF-8, not TOML, nested deeper than `MAX_DEPTH` or of more
    than `MAX_VALUES` values. A byte order mark is taken off, with a note.
    """
    text = _decoded(content, name, findings)
    if text is None or not _keys_are_short(text, name, findings):
        return None
    try:
        values = tomllib.loads(text)
    except RecursionError:
        findings.error("config.nesting", "Values are nested too deeply. Write them flat.", name)
        return None
    except tomllib.TOMLDecodeError as error:
        _report_syntax(text, str(error), name, findings)
        return None
    except ValueError:  # Python reads no integers of thousands of digits
        line = next((n for n, each in enumerate(text.split("\n"), 1) if _LONG_NUMBER.search(each)), 1)
        message = "The line holds a number of thousands of digits. Write the value that the run used."
        findings.error("config.syntax", message, f"{name}: line {line}")
        return None
    return Document(name, text, values) if _is_bounded(values, name, findings) else None


def _decoded(content: bytes, name: str, findings: FindingCollector) -> str | None:
    if len(content) > MAX_SIZE:
        message = f"The file is over the limit of {MAX_SIZE:,} bytes. Send the Flower app's own file."
        findings.error("config.too_large", message, name)
        return None
    if not content.strip():
        findings.error("file.empty", "The file is empty. Upload it again.", name)
        return None
    if kind := foreign_kind(content):
        findings.error("config.syntax", f"This is {kind}, not TOML. {_SEND}", name)
        return None
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        kind = " (it looks like UTF-16)" if content.startswith(_UTF16_MARKS) else ""
        byte = f"byte 0x{content[error.start]:02x} in line {line}"
        message = f"The file is not UTF-8{kind}: {byte}. Save it as UTF-8."
        findings.error("config.encoding", message, f"{name}: line {line}")
        return None
    if text.startswith("\ufeff"):
        message = "The file begins with a byte order mark, at which Flower stops. Save it without one."
        findings.note("config.byte_order_mark", message, f"{name}: line 1")
        text = text[1:]
    return text


def _keys_are_short(text: str, name: str, findings: FindingCollector) -> bool:
    for number, line in enumerate(text.split("\n"), start=1):
        if max(segment.count(".") for segment in _SEGMENT_ENDS.split(line)) >= MAX_KEY_PARTS:
            message = f"The line has a key of more than {MAX_KEY_PARTS} parts. Shorten it."
            findings.error("config.nesting", message, f"{name}: line {number}")
            return False
    return True


def _is_bounded(values: dict[str, object], name: str, findings: FindingCollector) -> bool:
    """Whether the document is no deeper and no larger than any app's."""
    level: list[object] = [values]
    count = 0
    for _ in range(MAX_DEPTH):
        level = [
            child
            for value in level
            if isinstance(value, dict | list)
            for child in (value.values() if isinstance(value, dict) else value)
        ]
        count += len(level)
        if not level:
            break
    if level:
        message = f"Keys or values are nested deeper than {MAX_DEPTH}. Write them flat."
        findings.error("config.nesting", message, name)
    elif count > MAX_VALUES:
        message = f"The file holds {count:,} keys and values, the limit is {MAX_VALUES:,}. Shorten it."
        findings.error("config.too_many_values", message, name)
    return not level and count <= MAX_VALUES


def _report_syntax(text: str, error: str, name: str, findings: FindingCollector) -> None:
    """One finding with the parser's reason, the position and the line that is meant."""
    match = _POSITION.search(error)
    reason = excerpt(_POSITION.sub("", error), 120)
    lines = text.replace("\r\n", "\n").split("\n")
    if match is None:
        findings.error("config.syntax", f"The file is not valid TOML: {reason}.", name)
        return
    if match["line"] is None:
        message = f"The file is not valid TOML: {reason} at its end. Something is opened and never closed."
        findings.error("config.syntax", message, f"{name}: line {len(lines)}")
        return
    line, column = int(match["line"]), int(match["column"])
    whole = lines[line - 1] if line <= len(lines) else ""
    shown = excerpt(whole[max(0, column - 60) :].strip(), 100)
    place = f"{name}: line {line}, column {column}"
    message = f"The file is not valid TOML: {reason}, in: {shown}"
    if placeholders(whole):
        count = sum(len(placeholders(each)) for each in lines)
        message += (
            f" – this is a template of which {count:,} placeholders were never filled in. Generate the app "
            "from the template and send the pyproject.toml that it makes."
        )
        findings.error("config.template", message, place)
        return
    findings.error("config.syntax", message + _hint(whole), place)


def _hint(line: str) -> str:
    """What to do next where the cause can be told."""
    if re.match(r"\s*[\w.-]+\s*:(\s|$)", line):
        return " It looks like YAML; values from a conf/*.yaml belong under [tool.flwr.app.config]."
    return ""
