"""The communication logs that FlowerTune's apps leave, and the totals that people copy out of them.

The public app logs `Communication budget: used 208.09 MB (+104.05 MB this round) / 200,000 MB` twice a
round: once for what it sends to the clients, once for what comes back. The lines stand alone in a
`comm_cost.txt`, with or without line ends between them, or among others in the output of `flwr run`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from evaluation.findings import Finding, FindingCollector, excerpt
from evaluation.method.communication import MB, size_text

LOG_FILE = "comm_cost.txt"
MAX_SIZE = 32 * MB
MAX_NOTE = 4096  # characters; a longer text without log lines is no note of a total

_NUMBER = r"\d[\d,.]*|nan|-?inf"
# Amounts that people write have spaces and apostrophes between thousands too, and units in words.
_GROUPED = r"\d{1,3}(?:[ '_\u2019\u00a0\u2009\u202f]\d{3})+(?:[.,]\d+)?|\d[\d,.]*"
_UNIT = r"(?:kilo|mega|giga|tera|kibi|mebi|gibi|tebi)?bytes?\b|[KMGT]i?B(?:ytes?)?\b|B\b"
_LINE = re.compile(
    rf"communication\s+(?:budget|costs?)\s*:\s*used\s+(?P<used>{_NUMBER})\s*(?P<unit>[KMGT]?i?B)"
    rf"(?:\s*\(\s*\+\s*(?P<added>{_NUMBER})\s*(?P<added_unit>[KMGT]?i?B)\s+this\s+round\s*\))?",
    re.IGNORECASE,
)
_LIMIT = re.compile(rf"(?:/|exceeded|limit(?: of|:)?|budget of)\s*(?:{_NUMBER})\s*[KMGT]?i?B", re.IGNORECASE)
_AMOUNT = re.compile(rf"(?<![\w.,])(?P<number>{_GROUPED})\s*(?P<unit>{_UNIT})", re.IGNORECASE)
_POWERS = {"": 0, "K": 1, "M": 2, "G": 3, "T": 4}
_ROUNDING = 0.011 * MB  # both figures of a line are printed with two decimals


@dataclass(frozen=True, slots=True)
class CommunicationLog:
    """What a log says, in bytes.

    `total_bytes` is the last run's. `messages` are what its lines add, one a direction and round, empty
    where only a total is known. `runs` are the totals of all runs that the file holds, `name` is its own.
    """

    name: str
    total_bytes: float
    messages: tuple[float, ...]
    runs: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class _Line:
    used: float
    added: float | None
    number: int


def parse_communication_log(
    content: bytes, *, name: str = LOG_FILE
) -> tuple[CommunicationLog | None, tuple[Finding, ...]]:
    """Read a log, or a note of one total such as `2.9 GB`.

    The log is None exactly when a finding is an error. Bytes that are not UTF-8, which progress bars
    leave, are passed over.
    """
    findings = FindingCollector()
    if len(content) > MAX_SIZE:
        message = f"The log is over {MAX_SIZE:,} bytes. Keep its communication lines only."
        findings.error("communication.log_too_large", message, name)
        return None, findings.collected()
    text = content.decode("utf-8", "replace")
    lines = _lines(text, name, findings)
    log: CommunicationLog | None = None
    if lines:
        log = _summary(lines, name, findings)
    elif not findings.has_errors:
        log = _total(text, name, findings)
    return (None if findings.has_errors else log), findings.collected()


def parse_amount(text: str, unit: str = "") -> float | None:
    """Bytes of an amount such as `703 MB`, `0.7 gigabytes` or `36,406 MB`; None when it is none.

    One without a unit is in `unit`, where that is given.
    """
    said = text.strip().lstrip("~≈ ")
    match = _AMOUNT.fullmatch(said) or (_AMOUNT.fullmatch(f"{said} {unit}") if unit else None)
    return None if match is None else _bytes(match["number"], match["unit"])


def _lines(text: str, name: str, findings: FindingCollector) -> list[_Line]:
    """The log lines in their order; a line that two handlers wrote counts once."""
    lines: list[_Line] = []
    line, counted = 1, 0
    for match in _LINE.finditer(text):
        line += text.count("\n", counted, match.start())
        counted = match.start()
        used = _bytes(match["used"], match["unit"])
        added = _bytes(match["added"], match["added_unit"]) if match["added"] else None
        if used is None or (match["added"] and added is None):
            message = f'"{excerpt(match.group(), 90)}" holds no number. Remove the line or repair it.'
            findings.error("communication.log_value", message, f"{name}: line {line}")
        elif not lines or (lines[-1].used, lines[-1].added) != (used, added) or added is None:
            lines.append(_Line(used, added, line))
    return lines


def _summary(lines: list[_Line], name: str, findings: FindingCollector) -> CommunicationLog:
    runs: list[list[_Line]] = []
    gaps: list[int] = []
    for line in lines:
        before = runs[-1][-1].used if runs else None
        if before is None or _starts_anew(line, before):
            runs.append([line])
        else:
            runs[-1].append(line)
            if line.added is not None and abs(line.used - before - line.added) > 2 * _ROUNDING:
                gaps.append(line.number)
    if gaps:
        message = (
            f"{len(gaps):,} lines do not follow from the ones before them, so that some are missing. "
            "The counter in the last line is taken as it is."
        )
        findings.note("communication.log_gaps", message, f"{name}: line {gaps[0]}")
    totals = tuple(run[-1].used for run in runs)
    if len(runs) > 1:
        shown = ", ".join(map(size_text, totals[-3:]))
        message = (
            f"The log holds {len(runs):,} runs (the last: {shown}); the last one counts. If it continued the "
            "one before, declare their sum."
        )
        findings.warning("communication.log_restarted", message, f"{name}: line {runs[-1][0].number}")
    messages = tuple(line.added for line in runs[-1] if line.added is not None)
    return CommunicationLog(name, totals[-1], messages, totals)


def _starts_anew(line: _Line, before: float) -> bool:
    """Whether the counter was set to zero before this line."""
    if line.used < before - _ROUNDING:
        return True
    return line.added is not None and abs(line.used - line.added) <= _ROUNDING < before


def _total(text: str, name: str, findings: FindingCollector) -> CommunicationLog | None:
    """The one amount of a short note; limits are left out."""
    kept = _LIMIT.sub(" ", text) if len(text) <= MAX_NOTE else ""
    amounts = {_bytes(match["number"], match["unit"]) for match in _AMOUNT.finditer(kept)} - {None}
    if len(amounts) == 1:
        (total,) = amounts
        assert total is not None
        return CommunicationLog(name, total, (), (total,))
    what = f"{len(amounts)} different amounts" if amounts else "no amount of data"
    message = (
        f'The log has no line "Communication budget: used … MB" and {what}. '
        "Send the app's log, or write the one total, such as 703 MB."
    )
    findings.error("communication.log", message, name)
    return None


def _bytes(number: str, unit: str) -> float | None:
    """Units are powers of 1024, as the board has them; 1,234.5, 1.234,5 and 104,05 are read as people mean
    them.
    """
    plain = _plain(re.sub(r"[ '_\u2019\u00a0\u2009\u202f]", "", number).rstrip("."))
    if not re.fullmatch(r"\d{1,15}(?:\.\d*)?", plain):
        return None
    prefix = unit[0].upper() if unit[0].upper() in "KMGT" else ""
    return float(plain) * 1024.0 ** _POWERS[prefix]


def _plain(number: str) -> str:
    """A number with a point before its decimals alone. Of one point nobody can tell: it is the decimals'
    mark.
    """
    if re.fullmatch(r"\d{1,3}(?:,\d{3})+(?:\.\d*)?", number):
        return number.replace(",", "")
    if re.fullmatch(r"\d{1,3}(?:\.\d{3})+,\d+|\d{1,3}(?:\.\d{3}){2,}", number):
        return number.replace(".", "").replace(",", ".")
    return number.replace(",", ".")
