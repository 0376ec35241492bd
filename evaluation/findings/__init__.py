"""What a check found: the one list that form, API, command line and reviewer all show.

Checks collect every problem in one pass instead of raising at the first. Each finding has a code of the
catalogue (`evaluation.findings.catalogue`), which has the texts that are the same for all of one code.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from evaluation.findings.catalogue import CATALOGUE, UncataloguedError, check_catalogued
from evaluation.findings.kinds import FindingKind, Severity

__all__ = [
    "ALIKE_LIMIT",
    "Finding",
    "FindingCollector",
    "RecordedFinding",
    "Severity",
    "UncataloguedError",
    "excerpt",
    "has_errors",
]

ALIKE_LIMIT = 20

_ORDER = list(Severity)


@dataclass(frozen=True, slots=True)
class RecordedFinding:
    """One result of a check, as a site or a file says it; its code may be one of another version.

    `message` is for a person and says what to do next. `location` names the place: a file, and a
    key, tensor, or line and column in it; "" where the whole submission is meant.
    """

    code: str
    severity: Severity
    message: str
    location: str = ""

    @property
    def kind(self) -> FindingKind | None:
        """What the catalogue says of the code, None where it does not have it."""
        return CATALOGUE.get(self.code)


@dataclass(frozen=True, slots=True)
class Finding(RecordedFinding):
    """One result of a check made here. Raises UncataloguedError unless the catalogue has it like that."""

    def __post_init__(self) -> None:
        check_catalogued(self.code, self.severity)


def has_errors(findings: Iterable[RecordedFinding]) -> bool:
    """Whether anything blocks the submission."""
    return any(finding.severity is Severity.ERROR for finding in findings)


def errors_first(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """By severity, otherwise in the order given."""
    return tuple(sorted(findings, key=lambda finding: _ORDER.index(finding.severity)))


def excerpt(text: str, limit: int = 80) -> str:
    """`text` from a stranger, fit for a message: at most `limit` characters of it, nothing unprintable.

    Control characters, NUL, unpaired surrogates and characters that change the direction of writing
    come out as escapes, so the result can be stored, logged and shown.
    """
    shown = text[: limit + 1]
    if not shown.isprintable():
        shown = "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in shown)
    return shown if len(shown) <= limit else shown[: limit - 1] + "…"


class FindingCollector:
    """Gathers findings and keeps at most `ALIKE_LIMIT` of one code, so that a hostile file cannot flood.

    What is given with an equal `cause` is one mistake in many places, and comes out as one finding: the
    first, which says how many more places there are.
    """

    def __init__(self) -> None:
        self._kept: list[Finding] = []
        self._seen: Counter[tuple[Severity, str]] = Counter()
        self._causes: dict[tuple[Severity, str, str], _Cause] = {}

    def error(self, code: str, message: str, location: str = "", cause: str = "") -> None:
        self._add(Finding(code, Severity.ERROR, message, location), cause)

    def warning(self, code: str, message: str, location: str = "", cause: str = "") -> None:
        self._add(Finding(code, Severity.WARNING, message, location), cause)

    def note(self, code: str, message: str, location: str = "", cause: str = "") -> None:
        self._add(Finding(code, Severity.NOTE, message, location), cause)

    @property
    def has_errors(self) -> bool:
        return has_errors(self._kept)

    def collected(self) -> tuple[Finding, ...]:
        """All findings, errors first, otherwise in the order found; "and N more like it" ends a cut kind."""
        cut = (
            Finding(code, severity, f"and {count - ALIKE_LIMIT:,} more like it")
            for (severity, code), count in self._seen.items()
            if count > ALIKE_LIMIT
        )
        whole = {cause.finding: cause.whole() for cause in self._causes.values()}
        return errors_first([*(whole.get(finding, finding) for finding in self._kept), *cut])

    def _add(self, finding: Finding, cause: str) -> None:
        kind = (finding.severity, finding.code)
        if cause:
            known = self._causes.setdefault((*kind, cause), _Cause(finding))
            known.places.append(finding.location)
            if len(known.places) > 1:
                return
        self._seen[kind] += 1
        if self._seen[kind] <= ALIKE_LIMIT:
            self._kept.append(finding)


@dataclass
class _Cause:
    """One mistake: what is said of it in its first place, and all its places."""

    finding: Finding
    places: list[str] = field(default_factory=list)

    def whole(self) -> Finding:
        if len(self.places) < 2:
            return self.finding
        second = self.places[1].removeprefix(self.finding.location.partition(":")[0]).lstrip(": ")
        more = f"The same is true in {len(self.places) - 1:,} more places, such as {excerpt(second, 160)}."
        return replace(self.finding, message=f"{self.finding.message} {more}")
