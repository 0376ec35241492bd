"""Reads what waits for reviewers, and what stands beside a case, in a constant number of queries."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import Exists, OuterRef, QuerySet, Subquery
from django.utils import timezone

from evaluation import rules
from evaluation.benchmarks import BENCHMARKS, Benchmark
from evaluation.findings import Severity
from evaluation.rules.challenges import CHALLENGES
from leaderboard.reading.queries import counting, read
from leaderboard.standing.entries import Entry
from portal.accounts.models import User
from portal.review.models import CaseClaim, Decision
from portal.runs.models import Score
from portal.submissions.models import Finding, ResemblanceReport, Resource, Submission

Status = Submission.Status
MOST_OTHERS = 20
"""How many other submissions of a team are shown."""


@dataclass(frozen=True)
class Other:
    """Another submission as a reviewer sees it beside a case; `reason` is that of its last decision."""

    id: int
    method: str
    challenge_title: str
    status: str
    status_label: str
    sent_at: datetime | None
    decided_at: datetime | None
    reason: str


@dataclass(frozen=True)
class AnswerCounts:
    """How the answers to a benchmark fell, and whether each can be read."""

    benchmark: Benchmark
    right: int
    wrong: int
    unscored: int
    has_items: bool


def is_anothers(submission: Submission) -> bool:
    """Whether another team submitted its tensors, or an adapter that is nearly it, holds it or is in it."""
    if submission.checkpoint is None:
        return False
    same = Submission.objects.filter(checkpoint__tensors_digest=submission.checkpoint.tensors_digest)
    found = ResemblanceReport.objects.filter(submission=submission, is_anothers=True)
    return same.exclude(team=submission.team_id).exists() or found.exists()


def others_of_team(submission: Submission) -> list[Other]:
    """The newest of the other submissions of its team that were sent."""
    return _others(Submission.objects.filter(team=submission.team_id).exclude(pk=submission.pk))


def came_before(other: Other, submission: Submission) -> bool:
    return bool(other.sent_at and submission.sent_at and other.sent_at < submission.sent_at)


def answers_of(submission: Submission, protocol: int) -> list[AnswerCounts]:
    """Of the evaluation that counts under the protocol, in the order of its benchmarks."""
    chosen = counting([submission.pk], protocol=protocol)
    scores = Score.objects.filter(evaluation__in=chosen.values("pk"))
    rows = scores.values_list("benchmark", "n", "correct", "unscored", "items")
    found = {
        slug: AnswerCounts(BENCHMARKS[slug], right, n - right - unscored, unscored, bool(items))
        for slug, n, right, unscored, items in rows
    }
    order = rules.of(submission.challenge, protocol).benchmarks
    return [found[slug] for slug in order if slug in found]


def _others(submissions: QuerySet[Submission]) -> list[Other]:
    decisions = Decision.objects.filter(submission=OuterRef("pk")).order_by("-pk")
    rows = (
        submissions.exclude(status=Status.RECEIVED, sent_at=None)
        .annotate(
            decided_at=Subquery(decisions.values("created_at")[:1]),
            last_reason=Subquery(decisions.values("reason")[:1]),
        )
        .order_by("-created_at", "-pk")
        .values_list("pk", "method", "challenge", "status", "sent_at", "decided_at", "last_reason")[
            :MOST_OTHERS
        ]
    )
    return [
        Other(
            id=pk,
            method=method,
            challenge_title=CHALLENGES[challenge].title,
            status=status,
            status_label=str(Status(status).label),
            sent_at=sent_at,
            decided_at=decided_at,
            reason=reason or "",
        )
        for pk, method, challenge, status, sent_at, decided_at, reason in rows
    ]


@dataclass(frozen=True)
class Waiting:
    """A submission in the queue as the database has it.

    `since` is when it came into its state, `severities` and `codes` are those of its findings, of which
    `grave` are the codes of errors and warnings. `holder` has the case now, "" for nobody.
    """

    id: int
    method: str
    team: str
    team_id: int
    challenge: str
    base_model: str
    kind: str
    status: str
    status_label: str
    since: datetime
    severities: tuple[str, ...]
    grave: frozenset[str]
    is_first: bool
    resembles: bool
    resources: tuple[Resource, ...]
    is_proposed: bool
    holder: str
    holder_id: int | None


def waiting_rows(submissions: QuerySet[Submission]) -> list[Waiting]:
    """In six queries. `submissions` are as `portal.review.waiting.with_state` gives them."""
    sent_earlier = Submission.objects.filter(team=OuterRef("team"), sent_at__lt=OuterRef("sent_at"))
    twins = Submission.objects.filter(
        checkpoint__tensors_digest=OuterRef("checkpoint__tensors_digest")
    ).exclude(team=OuterRef("team"))
    rows = list(
        submissions.select_related("team", "base_model")
        .only(
            "method", "challenge", "kind", "status", "status_changed_at", "sent_at", "team__name",
            "base_model__hub_id",
        )
        .annotate(
            came_before=Exists(sent_earlier),
            is_anothers=Exists(twins)
            | Exists(ResemblanceReport.objects.filter(submission=OuterRef("pk"), is_anothers=True)),
        )
        .prefetch_related("resources")
    )  # fmt: skip
    findings: dict[int, list[tuple[str, str]]] = defaultdict(list)
    chosen = [row.pk for row in rows]
    for pk, code, severity in Finding.objects.filter(submission__in=chosen).values_list(
        "submission_id", "code", "severity"
    ):
        findings[pk].append((code, severity))
    holders = _holders(chosen)
    return [_waiting(row, findings[row.pk], holders.get(row.pk)) for row in rows]


def entries_of(submissions: Iterable[int]) -> dict[int, Entry]:
    """Of those that were evaluated, by number, under the protocol that counts."""
    chosen = Submission.objects.filter(pk__in=list(submissions))
    return {entry.id: entry for entry in read(chosen).entries}


def _holders(submissions: Iterable[int]) -> dict[int, User]:
    claims = CaseClaim.objects.filter(submission__in=submissions, ended_at=None, until__gt=timezone.now())
    return {claim.submission_id: claim.reviewer for claim in claims.select_related("reviewer")}


def _waiting(row: Any, findings: Sequence[tuple[str, str]], holder: User | None) -> Waiting:
    """`row` is a submission with the annotations of `waiting_rows`."""
    return Waiting(
        id=row.pk,
        method=row.method,
        team=row.team.name,
        team_id=row.team_id,
        challenge=row.challenge,
        base_model=row.base_model.name,
        kind=row.kind,
        status=row.status,
        status_label=row.get_status_display(),
        since=row.status_changed_at,
        severities=tuple(severity for _, severity in findings),
        grave=frozenset(code for code, severity in findings if severity != Severity.NOTE.value),
        is_first=not row.came_before,
        resembles=row.is_anothers,
        resources=tuple(row.resources.all()),
        is_proposed=row.is_proposed,
        holder=holder.public_name if holder else "",
        holder_id=holder.pk if holder else None,
    )
