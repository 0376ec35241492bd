"""A Flower app's pyproject.toml, read as data: is it TOML, and does it configure a Flower app?"""

from __future__ import annotations

import re
import tomllib

from evaluation.findings import Finding, FindingCollector, excerpt

CONFIG_FILE = "pyproject.toml"
MAX_SIZE = 256 * 1024
MAX_DEPTH = 64
# Python's parser takes time quadratic in the parts of a dotted key, so those are counted beforehand.
MAX_KEY_PARTS = 128

APP_CONFIG = ("tool", "flwr", "app", "config")

_SEGMENT_ENDS = re.compile(r"[=,{]")
_POSITION = re.compile(r" \(at (?:line (?P<line>\d+), column (?P<column>\d+)|end of document)\)$")


def inspect_config(
    text: bytes, *, name: str = CONFIG_FILE
) -> tuple[dict[str, object] | None, tuple[Finding, ...]]:
    """Parse a pyproject.toml; the document is None exactly when a finding is an error."""
    findings = FindingCollector()
    document = _parsed(text, name, findings)
    if document is not None and not isinstance(_lookup(document, APP_CONFIG), dict):
        message = (
            "There is no table [tool.flwr.app.config]. Upload the pyproject.toml of the Flower app you ran."
        )
        findings.warning("config.no_app_config", message, name)
    return document, findings.collected()


def _parsed(text: bytes, name: str, findings: FindingCollector) -> dict[str, object] | None:
    if len(text) > MAX_SIZE:
        message = (
            f"The file has {len(text):,} bytes, the limit is {MAX_SIZE:,}. Upload the Flower app's own file."
        )
        findings.error("config.too_large", message, name)
        return None
    try:
        decoded = text.decode("utf-8")
    except UnicodeDecodeError as error:
        line = text.count(b"\n", 0, error.start) + 1
        message = f"The file is not UTF-8: byte 0x{text[error.start]:02x} in line {line}. Save it as UTF-8."
        findings.error("config.encoding", message, f"{name}: line {line}")
        return None
    for number, line_text in enumerate(decoded.split("\n"), start=1):
        if max(segment.count(".") for segment in _SEGMENT_ENDS.split(line_text)) >= MAX_KEY_PARTS:
            message = f"The line has a key of more than {MAX_KEY_PARTS} parts. Shorten it."
            findings.error("config.nesting", message, f"{name}: line {number}")
            return None
    try:
        document = tomllib.loads(decoded)
    except RecursionError:
        findings.error("config.nesting", "Values are nested too deeply. Write them flat.", name)
        return None
    except ValueError as error:  # TOMLDecodeError, and integers of thousands of digits
        _report_syntax(decoded, str(error), name, findings)
        return None
    if _depth_exceeds(document, MAX_DEPTH):
        message = f"Keys or values are nested deeper than {MAX_DEPTH}. Write them flat."
        findings.error("config.nesting", message, name)
        return None
    return document


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
    start = max(0, column - 60)
    shown = excerpt(lines[line - 1][start:].strip(), 100) if line <= len(lines) else ""
    message = f"The file is not valid TOML: {reason}, in: {shown}"
    findings.error("config.syntax", message, f"{name}: line {line}, column {column}")


def _lookup(document: dict[str, object], path: tuple[str, ...]) -> object:
    """The value at `path`, or None. Flower takes - and _ in keys as the same."""
    value: object = document
    for part in path:
        if not isinstance(value, dict):
            return None
        value = next((item for key, item in value.items() if key.replace("-", "_") == part), None)
    return value


def _depth_exceeds(document: dict[str, object], limit: int) -> bool:
    level: list[object] = [document]
    for _ in range(limit):
        level = [
            child
            for value in level
            if isinstance(value, dict | list)
            for child in (value.values() if isinstance(value, dict) else value)
        ]
        if not level:
            return False
    return True
