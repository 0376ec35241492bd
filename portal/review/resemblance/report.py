"""What a submission resembles, as its reviewers read it. It is found by `search`, in a worker.

Reviewers alone may read it: it names teams before anything of theirs is published.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

import msgspec
from django.utils import timezone

from evaluation.resemblance.results import Comparison, SharedMistakes
from portal.queues import wake_resemblance_search
from portal.submissions.models import ResemblanceReport, Submission


class Likeness(StrEnum):
    """How another adapter is like one, the closest first. The values are stored."""

    FILE = "file"
    TENSORS = "tensors"
    UPDATE = "update"
    NEAR = "near"
    RANKS = "ranks"
    PART = "part"
    RELATED = "related"
    ANSWERS = "answers"


# From such a cosine on, updates differ by no more than rounding; measured as docs/reviewing.md says.
EXACT = 0.9999
# Of first factors: what trainings from one seed kept of their start, where those from others had under 0.1.
_BEGAN_ALIKE = 0.75

TITLES = {
    Likeness.FILE: "The same file",
    Likeness.TENSORS: "Equal tensors",
    Likeness.UPDATE: "The same update",
    Likeness.NEAR: "Nearly the same update",
    Likeness.RANKS: "Within the other's ranks",
    Likeness.PART: "Part of a merge",
    Likeness.RELATED: "A related update",
    Likeness.ANSWERS: "The same wrong answers",
}


@dataclass(frozen=True)
class Found:
    """One adapter that is like the submission's, as it is stored: by the submission that had it first."""

    submission: int
    likeness: Likeness
    update: Comparison | None = None
    weight: float | None = None
    mistakes: SharedMistakes | None = None


@dataclass(frozen=True)
class Merge:
    """The share of the update that those found as parts explain together; see `evaluation.resemblance`."""

    explained: float
    averaged: bool


@dataclass(frozen=True)
class Report:
    """What a search came to: beside how many adapters and how many entries' answers, and what it left out."""

    adapters: int
    entries: int
    found: tuple[Found, ...]
    merge: Merge | None = None
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True)
class Resemblance:
    """One line of what a reviewer reads. `words` are sentences with the figures."""

    submission: Submission
    likeness: Likeness
    is_own_team: bool
    words: tuple[str, ...]

    @property
    def title(self) -> str:
        return TITLES[self.likeness]


@dataclass(frozen=True)
class Resembling:
    """What is known of a submission's likeness to others; `found_at` is None while it is searched for."""

    found_at: datetime | None
    adapters: int
    entries: int
    lines: tuple[Resemblance, ...]
    merge: str
    remarks: tuple[str, ...]


def resembling(submission: Submission) -> Resembling:
    """What was found of a submission; where nobody searched yet, a search is asked for."""
    row = ResemblanceReport.objects.filter(submission=submission).first()
    if row is None:
        ask(submission)
    if row is None or row.found_at is None:
        return Resembling(None, 0, 0, (), "", ())
    report = msgspec.convert(row.content, Report)
    others = Submission.objects.select_related("team", "base_model").in_bulk(
        [f.submission for f in report.found]
    )
    lines = tuple(
        Resemblance(
            submission=others[found.submission],
            likeness=found.likeness,
            is_own_team=others[found.submission].team_id == submission.team_id,
            words=tuple(_words(found)),
        )
        for found in report.found
        if found.submission in others
    )
    merge = _merge_words(report) if report.merge else ""
    return Resembling(row.found_at, report.adapters, report.entries, lines, merge, report.remarks)


def ask(submission: Submission) -> None:
    """Have a worker search, anew where it has searched before."""
    ResemblanceReport.objects.update_or_create(
        submission=submission, defaults={"asked_at": timezone.now(), "found_at": None, "content": None}
    )
    wake_resemblance_search()


def _words(found: Found) -> list[str]:
    words = []
    if found.weight is not None:
        words.append(f"{found.weight:.2f} times its update.")
    if found.update:
        words += _update_words(found.update)
    if found.mistakes:
        words.append(_mistake_words(found.mistakes))
    return words


def _update_words(update: Comparison) -> list[str]:
    if update.cosine is None or not update.shared:
        return ["One of the two changes nothing."]
    modules = f"{update.shared:,} of {update.modules:,} modules"
    if update.other_modules not in (update.shared, update.modules):
        modules += f" (the other has {update.other_modules:,})"
    words = [
        f"Cosine of the updates {update.cosine:.4f}; module by module {update.lowest:.4f} to "
        f"{update.highest:.4f}, median {update.median:.4f}, on {modules}; {update.ratio:.2f} times as long."
    ]
    if update.rank != update.other_rank and update.within is not None:
        words.append(
            f"Rank {update.rank} beside {update.other_rank}; {update.within:.0%} of it lies in the other's "
            "column and row spaces."
        )
    elif update.within is not None and update.within - update.cosine**2 > 0.05:
        words.append(f"{update.within:.0%} of it lies in the other's column and row spaces.")
    if update.start is not None:
        words.append(f"Cosine of the lora_A factors {update.start:.3f}.")
        if abs(update.cosine) < EXACT and update.start >= _BEGAN_ALIKE:
            words.append("Trainings that begin from one seed look like this as well.")
    return words


def _mistake_words(mistakes: SharedMistakes) -> str:
    text = f"On {mistakes.both_wrong:,} items that both got wrong, {mistakes.equal:,} answers are the same"
    if mistakes.expected is None or mistakes.p is None:
        return f"{text}; too little is there to say what chance would give."
    chance = "under 10⁻⁶" if mistakes.p < 1e-6 else f"{mistakes.p:.2g}"
    return (
        f"{text}, {mistakes.expected:,.0f} by chance as others err there (p {chance}, corrected for all "
        "entries compared)."
    )


def _merge_words(report: Report) -> str:
    assert report.merge
    sum_of = " + ".join(
        f"{found.weight:.2f}·#{found.submission}" for found in report.found if found.weight is not None
    )
    way = ", their factors added up" if report.merge.averaged else ""
    return f"{report.merge.explained:.1%} of the update is {sum_of}{way}."
