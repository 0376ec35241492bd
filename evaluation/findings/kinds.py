"""What a kind of finding is: a stable code, how grave it is, what it means and how to mend it."""

from __future__ import annotations

from dataclasses import dataclass

from evaluation.backports import StrEnum


class Severity(StrEnum):
    """`ERROR` blocks the submission, `WARNING` goes to the reviewer, `NOTE` is shown."""

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"


# The severities of a kind; where it has several, they are added up with the gravest first.
ERROR = (Severity.ERROR,)
WARNING = (Severity.WARNING,)
NOTE = (Severity.NOTE,)


@dataclass(frozen=True, slots=True)
class FindingKind:
    """What is said of every finding of one code.

    Programs may rely on `code`; texts may change. A kind has several `severities` where the same matter is
    graver in one case than in another; `explanation` says which is which. `title` is for lists, `remedy` says
    what to do next, and `example` is a location at which such a finding may be, "" for the whole submission.
    """

    code: str
    severities: tuple[Severity, ...]
    title: str
    explanation: str
    remedy: str
    example: str = ""


@dataclass(frozen=True, slots=True)
class Area:
    """The kinds of one part of the checks, in the order in which that part checks."""

    slug: str
    title: str
    about: str
    kinds: tuple[FindingKind, ...]
