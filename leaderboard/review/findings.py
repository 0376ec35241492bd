"""What the checks found in a submission, the gravest first, each with its place in the file. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from evaluation.findings import Severity
from evaluation.findings.kinds import FindingKind
from evaluation.flowerconfig import CONFIG_FILE
from portal.submissions.models import Finding

WEIGHTS = tuple(severity.value for severity in Severity)
"""The gravest first."""
_LINE = re.compile(rf"{re.escape(CONFIG_FILE)}: line (\d{{1,7}})\b")


@dataclass(frozen=True)
class FindingRow:
    """A finding as reviewers read it; `line` and `text` are those of the configuration that it names."""

    code: str
    severity: str
    message: str
    location: str
    kind: FindingKind | None
    line: int | None
    text: str


@dataclass(frozen=True)
class Weights:
    """How many findings of each severity there are."""

    errors: int = 0
    warnings: int = 0
    notes: int = 0

    @classmethod
    def of(cls, severities: Iterable[str]) -> Weights:
        counted = list(severities)
        return cls(*(counted.count(weight) for weight in WEIGHTS))

    @property
    def order(self) -> tuple[int, int, int]:
        return (self.errors, self.warnings, self.notes)


@dataclass(frozen=True)
class FileLine:
    """A line of the configuration; `severity` is that of the gravest finding about it, "" for none."""

    number: int
    text: str
    severity: str
    is_static: bool


def finding_rows(findings: Iterable[Finding], config_text: str) -> list[FindingRow]:
    lines = config_text.split("\n")
    rows = [_row(finding, lines) for finding in findings]
    return sorted(rows, key=lambda row: WEIGHTS.index(row.severity))


def file_lines(config_text: str, rows: Sequence[FindingRow], static: Iterable[int]) -> list[FileLine]:
    """The configuration line by line; `static` are the lines of the static section."""
    gravest: Mapping[int, str] = {
        row.line: row.severity for row in reversed(rows) if row.line is not None
    }  # the gravest stands first, and so is written last
    shared = set(static)
    return [
        FileLine(number, text.rstrip("\r"), gravest.get(number, ""), number in shared)
        for number, text in enumerate(config_text.split("\n"), start=1)
    ]


def _row(finding: Finding, lines: Sequence[str]) -> FindingRow:
    match = _LINE.match(finding.location)
    line = int(match[1]) if match else None
    known = line is not None and 1 <= line <= len(lines)
    return FindingRow(
        code=finding.code,
        severity=finding.severity,
        message=finding.message,
        location=finding.location,
        kind=finding.kind,
        line=line if known else None,
        text=lines[line - 1].strip() if known and line else "",
    )
