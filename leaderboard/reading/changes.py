"""The public history of the boards, newest first, read from the append-only records.

What is told of an entry: once it was published, its number, method and challenge. A withdrawn entry is told
without its team and has no page any more: its team took it back. Texts of reviewers appear only where the
entry's own page shows them: the reasons of a disqualification and of what took it back.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from django.apps import apps
from django.db.models import Exists, F, OuterRef, Q, QuerySet, Value
from django.db.models.functions import Coalesce

from evaluation.rules.challenges import CHALLENGES, Challenge
from portal.accounts.models import Team
from portal.review.audits import in_words
from portal.review.models import Audit, Decision
from portal.runs.models import Evaluation, Reproduction
from portal.submissions.models import Submission

PAGE_SIZE = 50
Status = Submission.Status


class Kind(StrEnum):
    """What happened to an entry. The order decides between events of one moment."""

    PUBLISHED = "published"
    IMPORTED = "imported"
    EVALUATED_AGAIN = "re-evaluated"
    REPRODUCED = "reproduced"
    NOT_REPRODUCED = "not-reproduced"
    WITHDRAWN = "withdrawn"
    DISQUALIFIED = "disqualified"
    REINSTATED = "reinstated"
    AUDITED = "audited"

    @property
    def label(self) -> str:
        return _LABELS[self]


_LABELS = {
    Kind.PUBLISHED: "Published",
    Kind.IMPORTED: "Taken over from a public board",
    Kind.EVALUATED_AGAIN: "Evaluated again",
    Kind.REPRODUCED: "Reproduced",
    Kind.NOT_REPRODUCED: "Not reproduced",
    Kind.WITHDRAWN: "Withdrawn by its team",
    Kind.DISQUALIFIED: "Disqualified",
    Kind.REINSTATED: "Reinstated",
    Kind.AUDITED: "Audited",
}
_ORDER = list(Kind)
_DECIDED = {
    Kind.DISQUALIFIED: Decision.Action.DISQUALIFY,
    Kind.REINSTATED: Decision.Action.REINSTATE,
}
"""Told of reviewers' decisions, with their reasons."""
_OUTCOMES = {
    Kind.REPRODUCED: Reproduction.Outcome.REPRODUCED,
    Kind.NOT_REPRODUCED: Reproduction.Outcome.NOT_REPRODUCED,
}


@dataclass(frozen=True)
class Change:
    """One event. `team` is None where the entry was withdrawn since; then it has no page either."""

    kind: Kind
    at: datetime
    entry: int
    method: str
    challenge: Challenge
    team: Team | None
    base_model: str
    reason: str

    @property
    def has_page(self) -> bool:
        return self.team is not None


@dataclass(frozen=True)
class Cursor:
    """A place in the history: the event that a page begins after."""

    at: datetime
    kind: Kind
    reference: int

    def __str__(self) -> str:
        return f"{self.at.isoformat()}~{self.kind}~{self.reference}"

    @classmethod
    def of(cls, text: str) -> Cursor:
        """Raises ValueError where the text is no cursor."""
        at, kind, reference = text.split("~")
        moment, number = datetime.fromisoformat(at), int(reference)
        if moment.utcoffset() != timedelta(0) or not 0 <= number < 2**63:
            raise ValueError(f"{text!r} is no place in the history")
        return cls(moment, Kind(kind), number)


@dataclass(frozen=True)
class Page:
    """Changes in falling order of time, and where older ones begin; None where there are none."""

    changes: list[Change]
    older: Cursor | None


def changes(
    *,
    challenge: Challenge | None = None,
    kinds: Sequence[Kind] = tuple(Kind),
    before: Cursor | None = None,
    size: int = PAGE_SIZE,
) -> Page:
    """A page of the history, in a constant number of queries whatever its length."""
    sources = [_after(_source(kind, challenge), kind, before) for kind in kinds]
    if not sources:
        return Page([], None)
    rows = sources[0].union(*sources[1:], all=True).order_by("-at", "-order", "-reference")
    found = list(rows[: size + 1])
    last = found[size - 1] if len(found) > size else None
    older = Cursor(last["at"], _ORDER[last["order"]], last["reference"]) if last else None
    return Page(_told(found[:size]), older)


def _source(kind: Kind, challenge: Challenge | None) -> QuerySet[Any, dict[str, Any]]:
    """The events of one kind as rows of order, at, reference and entry."""
    if kind is Kind.EVALUATED_AGAIN:
        events, at, entry = _evaluated_again(), "finished_at", "submission"
    elif kind in _OUTCOMES:
        events, at, entry = _reproduced(_OUTCOMES[kind]), "judged_at", "original"
    elif kind is Kind.AUDITED:
        events, at, entry = _audited(), "settled_at", "submission"
    elif kind in _DECIDED:
        events, at, entry = _decided(_DECIDED[kind]), "took_effect", "submission"
    else:
        events, at, entry = _status_events(kind), "status_changed_at", "pgh_obj"
    if challenge is not None:
        events = events.filter(**{f"{entry}__challenge": challenge.slug})
    return events.order_by().values(
        order=Value(_ORDER.index(kind)), at=F(at), reference=F("pk"), entry=F(f"{entry}_id")
    )


def _status_events(kind: Kind) -> QuerySet[Any]:
    """Steps of entries that were public: a submission withdrawn before is nobody's business."""
    events = apps.get_model("submissions", "StatusEvent").objects.filter(pgh_obj__published_at__isnull=False)
    imported = Q(pgh_obj__kind=Submission.Kind.IMPORTED)
    if kind is Kind.WITHDRAWN:
        return events.filter(status=Status.WITHDRAWN)
    published = events.filter(status=Status.PUBLISHED)
    before = published.filter(pgh_obj=OuterRef("pgh_obj"), pk__lt=OuterRef("pk"))
    first = published.exclude(Exists(before))  # what follows a disqualification is told by its decision
    return first.filter(imported) if kind is Kind.IMPORTED else first.exclude(imported)


def _decided(action: Decision.Action) -> QuerySet[Any]:
    """Decisions that took effect, where two were needed when the second reviewer agreed."""
    taken = Decision.objects.in_effect().filter(action=action, submission__published_at__isnull=False)
    return taken.annotate(took_effect=Coalesce("confirmation__created_at", "created_at"))


def _evaluated_again() -> QuerySet[Any]:
    return Evaluation.objects.filter(
        status=Evaluation.Status.SUCCEEDED,
        for_audit=False,
        submission__published_at__isnull=False,
        finished_at__gt=F("submission__published_at"),
    )


def _reproduced(outcome: Reproduction.Outcome) -> QuerySet[Any]:
    """Retraining that staff confirmed; what they set aside again leaves the history with its mark."""
    return Reproduction.objects.filter(
        verdict=Reproduction.Verdict.CONFIRMED, outcome=outcome, original__published_at__isnull=False
    )


def _audited() -> QuerySet[Audit]:
    """Audits that came to a result, of entries that still are public or were."""
    without = (Audit.Outcome.OPEN, Audit.Outcome.FAILED)
    return Audit.objects.exclude(outcome__in=without).filter(submission__published_at__isnull=False)


def _after(rows: QuerySet[Any, Any], kind: Kind, cursor: Cursor | None) -> QuerySet[Any, Any]:
    """The rows of a kind that come after the cursor's event in the falling order."""
    if cursor is None:
        return rows
    place, start = _ORDER.index(kind), _ORDER.index(cursor.kind)
    same_moment = Q(at=cursor.at) if place < start else Q(at=cursor.at, reference__lt=cursor.reference)
    return rows.filter(Q(at__lt=cursor.at) | same_moment if place <= start else Q(at__lt=cursor.at))


def _told(rows: Iterable[dict[str, Any]]) -> list[Change]:
    rows = list(rows)
    submissions = (
        Submission.objects.filter(pk__in={row["entry"] for row in rows})
        .select_related("team", "base_model")
        .only("method", "challenge", "status", "team__name", "base_model__hub_id")
        .in_bulk()
    )
    reasons = _reasons(rows)
    return [_change(row, submissions[row["entry"]], reasons) for row in rows]


def _reasons(rows: Sequence[dict[str, Any]]) -> dict[tuple[Kind, int], str]:
    """What is said beside the events, by their kind and reference."""
    by_kind: dict[Kind, set[int]] = defaultdict(set)
    for row in rows:
        by_kind[_ORDER[row["order"]]].add(row["reference"])
    decided = {pk for kind in _DECIDED for pk in by_kind.get(kind, ())}
    said: dict[tuple[Kind, int], str] = {}
    if decided:
        texts = dict(Decision.objects.filter(pk__in=decided).values_list("pk", "reason"))
        said |= {(kind, pk): texts[pk] for kind in _DECIDED for pk in by_kind.get(kind, ())}
    if Kind.AUDITED in by_kind:
        audits = Audit.objects.filter(pk__in=by_kind[Kind.AUDITED])
        said |= {(Kind.AUDITED, audit.pk): in_words(audit) for audit in audits}
    return said


def _change(row: dict[str, Any], submission: Submission, reasons: Mapping[tuple[Kind, int], str]) -> Change:
    kind = _ORDER[row["order"]]
    return Change(
        kind=kind,
        at=row["at"],
        entry=submission.pk,
        method=submission.method,
        challenge=CHALLENGES[submission.challenge],
        team=submission.team if submission.status in Submission.PUBLIC else None,
        base_model=submission.base_model.name,
        reason=reasons.get((kind, row["reference"]), ""),
    )
