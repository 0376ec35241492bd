"""The queue as everybody may see it: what runs, waits and came out, and whether workers are there.

Who may not see a submission reads only which challenge it is for; that one of a public entry failed, nobody
reads but its team and staff.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Count
from django.urls import reverse
from django.utils import timezone

from evaluation.benchmarks import BENCHMARKS
from portal.accounts.access import sees_all
from portal.accounts.models import User
from portal.control import gate
from portal.control import models as control
from portal.runs import forecast, presence
from portal.runs.forecast import Interval
from portal.runs.models import Evaluation
from portal.runs.services import benchmarks_of
from portal.submissions.models import HubFetch, Submission
from portal.submissions.models.submission import SubmissionQuerySet

Status = Evaluation.Status

SHOWN = 50
"""Of what waits; one's own are shown whatever their place."""

LATELY = timedelta(days=7)
CAME_OUT = 10

_OUTCOMES = {
    Status.SUCCEEDED: "evaluated",
    Status.TRIED: "smoke run done",
    Status.MEASURED: "measured",
    Status.FAILED: "failed",
    Status.CANCELLED: "withdrawn",
}


@dataclass(frozen=True)
class Row:
    """One evaluation. `submission` is None where the reader may not see it."""

    evaluation: Evaluation
    submission: Submission | None
    is_own: bool
    challenge: str
    expectation: str
    position: int | None = None
    start: Interval | None = None
    end: Interval | None = None
    benchmarks_done: int = 0
    benchmarks_total: int = 0
    doing: str = ""

    @property
    def name(self) -> str:
        return self.submission.method if self.submission else f"A submission to {self.challenge}"

    @property
    def team(self) -> str:
        return self.submission.team.name if self.submission else ""

    @property
    def key(self) -> str:
        return str(self.evaluation.pk)

    @property
    def link(self) -> str:
        """To the entry of what is public, else to the page that the team and staff may read."""
        if self.submission is None:
            return ""
        is_published = self.submission.status == Submission.Status.PUBLISHED
        return (
            reverse("entry", args=[self.submission.pk])
            if is_published
            else self.submission.get_absolute_url()
        )

    @property
    def outcome(self) -> str:
        return _OUTCOMES[Status(self.evaluation.status)]


@dataclass(frozen=True)
class Queue:
    """`waiting` are the first and the reader's own; `waiting_total` counts all."""

    running: list[Row]
    waiting: list[Row]
    waiting_total: int
    came_out: list[Row]
    workers: int
    at_once: int
    """Evaluations that they take together."""
    last_seen: datetime | None
    closed: str

    @property
    def state(self) -> str:
        """The workers', in words."""
        if self.closed:
            return f"Nothing is begun: {self.closed}"
        if not self.workers:
            return "No worker is running."
        busy = len(self.running)
        workers = "1 worker is running" if self.workers == 1 else f"{self.workers} workers are running"
        if self.at_once > self.workers:
            room = self.at_once - busy
            more = f"{room} more can begin" if room > 0 else "no more can begin now"
            return f"{workers}, for {self.at_once} evaluations at once; {more}."
        if not busy:
            return f"{workers}, {'it is' if self.workers == 1 else 'all are'} free."
        free = self.workers - busy
        return f"{workers}, {f'{free} of them free' if free > 0 else 'none is free'}."


def shown_to(user: object) -> Queue:
    """What `user`, who may be anonymous, sees of the queue."""
    told, workers = forecast.expectations(), presence.workers()
    own = _own(user)
    chosen = [pk for number, pk in enumerate(told) if number < SHOWN or pk in own]
    with_names = Evaluation.objects.select_related("submission__team", "base_model").defer(
        "base_model__tensors", "submission__adapter_config_text", "submission__config_text"
    )
    running = list(
        with_names.filter(status=Status.RUNNING).annotate(scored=Count("scores")).order_by("started_at")
    )
    waiting = with_names.in_bulk(chosen)
    finished = list(
        with_names.filter(
            status__in=[Status.SUCCEEDED, Status.TRIED, Status.MEASURED, Status.FAILED],
            finished_at__gt=timezone.now() - LATELY,
        ).order_by("-finished_at")[:CAME_OUT]
    )
    every = [*running, *waiting.values(), *finished]
    shown = Submission.objects.filter(pk__in={one.submission_id for one in every})
    visible = set(shown.visible_to(user).values_list("pk", flat=True))
    private = set(_private_to(user, shown).values_list("pk", flat=True))

    def row(one: Evaluation, **facts: object) -> Row:
        may_read = private if one.status == Status.FAILED else visible
        return Row(
            evaluation=one,
            submission=one.submission if one.submission_id in may_read else None,
            is_own=one.pk in own,
            challenge=one.submission.get_challenge_display(),
            **{"expectation": "", **facts},  # type: ignore[arg-type]
        )

    return Queue(
        running=[row(one, **_progress(one)) for one in running],
        waiting=[row(waiting[pk], **_expected(told[pk])) for pk in chosen if pk in waiting],
        waiting_total=len(told),
        came_out=[row(one) for one in finished],
        workers=len(workers),
        at_once=sum(worker.at_once for worker in workers),
        last_seen=presence.last_seen(),
        closed=gate.closed(control.Queue.EVALUATE),
    )


def places_of(submissions: Iterable[Submission]) -> dict[int, str]:
    """Of those that wait: their place and when they start, or until when for their team, in words; of drafts,
    what their files wait for."""
    submissions = list(submissions)
    waiting = {one.pk for one in submissions if one.status == Submission.Status.QUEUED}
    drafts = {one.pk for one in submissions if one.status == Submission.Status.RECEIVED}
    fetches = HubFetch.objects.filter(submission__in=drafts, waits_until__isnull=False)
    places = {fetch.submission_id: fetch.wait_in_words for fetch in fetches.select_related("outage")}
    places |= {
        one.pk: f"your team decides until {one.decide_by:%Y-%m-%d}" for one in submissions if one.decide_by
    }
    if not waiting:
        return places
    queued = Evaluation.objects.filter(
        status=Status.QUEUED, submission__in=waiting, purpose=Evaluation.Purpose.BOARD
    ).order_by("-protocol")
    told = forecast.expectations()
    for pk, submission in queued.values_list("pk", "submission_id"):
        if expected := told.get(pk):
            words = forecast.in_words(expected)
            places[submission] = f"number {expected.position}, {words}" if expected.position else words
    return places


def _private_to(user: object, submissions: SubmissionQuerySet) -> SubmissionQuerySet:
    """Those of which a user reads what is not public."""
    if sees_all(user):
        return submissions
    return submissions.of_member(user) if isinstance(user, User) else submissions.none()


def _own(user: object) -> set[int]:
    """The user's active evaluations."""
    if not isinstance(user, User):
        return set()
    active = Evaluation.objects.filter(status__in=Evaluation.ACTIVE)
    return set(active.filter(submission__team__memberships__user=user).values_list("pk", flat=True))


def _expected(told: forecast.Expectation) -> dict[str, object]:
    return {
        "expectation": forecast.in_words(told),
        "position": told.position,
        "start": told.start,
        "end": told.end,
    }


def _progress(one: Evaluation) -> dict[str, object]:
    live, end = one.progress, forecast.expected_end(one)
    slug = live.get("benchmark", "")
    doing = live.get("phase", "starting")
    if slug in BENCHMARKS:
        doing = f"{BENCHMARKS[slug].title}, {live.get('done', 0):,} of {live.get('total', 0):,}"
    return {
        "expectation": forecast.end_in_words(end),
        "end": end,
        "benchmarks_done": one.scored,  # type: ignore[attr-defined]
        "benchmarks_total": len(benchmarks_of(one)),
        "doing": doing,
    }
