"""How far a submission and its evaluation are, in the words and numbers that the submitter sees."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from django.conf import settings

from evaluation.benchmarks import BENCHMARKS
from portal.runs import forecast
from portal.runs.forecast import Expectation, Interval
from portal.runs.models import Evaluation
from portal.runs.services import benchmarks_of, newest, of_present_adapter
from portal.submissions.models import Submission

Status = Submission.Status


@dataclass(frozen=True)
class Line:
    """One benchmark's part of an evaluation: items done of `total`, which is None until it is known.

    `id` is unique among the lines of a submission.
    """

    id: str
    title: str
    done: int
    total: int | None
    detail: str


@dataclass(frozen=True)
class Progress:
    """Live progress: the running benchmark's counts, items a second, seconds left (None while unknown).

    `expectation` says in words when a queued one starts or what hinders it, and when a running one is done.
    """

    phase: str
    benchmark: str
    done: int
    total: int
    rate: float | None
    seconds_left: float | None
    benchmarks_done: int
    benchmarks_total: int
    queue_position: int | None
    expected_start: Interval | None
    expected_end: Interval | None
    expectation: str
    lines: tuple[Line, ...]


@dataclass(frozen=True)
class Attempt:
    """The newest evaluation under a protocol, with its progress while it is queued or runs.

    `is_one_of_several` says that there are some under other protocols too, so that each has to be named.
    """

    evaluation: Evaluation
    progress: Progress | None
    is_one_of_several: bool


@dataclass(frozen=True)
class SmokeRun:
    """A smoke run that is through; `decide_by` is when a submission that waits for its team is withdrawn."""

    evaluation: Evaluation
    decide_by: datetime | None


@dataclass(frozen=True)
class Step:
    """A station on a submission's way; `state` is done, current, todo or failed."""

    label: str
    state: str
    detail: str = ""


def attempts_of(submission: Submission) -> list[Attempt]:
    """One a protocol: the site's own in their order, then others. A smoke run that is through is none."""
    latest = newest(submission).select_related("outage").prefetch_related("scores")
    found = {one.protocol: one for one in latest if one.status != Evaluation.Status.TRIED}
    order = [number for number in settings.LEADERBOARD_PROTOCOLS if number in found]
    order += [number for number in found if number not in order]
    return [Attempt(found[number], progress_of(found[number]), len(order) > 1) for number in order]


def smoke_run_of(submission: Submission) -> SmokeRun | None:
    """The one that is through; None where there is none."""
    tried = of_present_adapter(submission).filter(status=Evaluation.Status.TRIED)
    through = tried.prefetch_related("scores").first()
    if through is None:
        return None
    return SmokeRun(through, submission.decide_by)


def progress_of(evaluation: Evaluation) -> Progress | None:
    """The progress of a queued or running evaluation; None once it is finished."""
    if evaluation.status not in Evaluation.ACTIVE:
        return None
    live, is_queued = evaluation.progress, evaluation.status == Evaluation.Status.QUEUED
    told = forecast.expectation(evaluation) if is_queued else None
    # What another worker lacked is no hindrance while one is there that can compute it and is only busy.
    lacking = evaluation.waits_for if told and (told.hindrance or told.position is None) else ""
    end = told.end if told else forecast.expected_end(evaluation)
    waits = evaluation.wait_in_words or f"waiting for {lacking or 'a free worker'}"
    scored = {score.benchmark: score for score in evaluation.scores.all()}
    slugs = benchmarks_of(evaluation)
    lines = []
    for slug in slugs:
        line = f"{slug}-{evaluation.protocol}"
        if slug in scored:
            n = scored[slug].n
            lines.append(Line(line, BENCHMARKS[slug].title, n, n, f"{scored[slug].correct} right"))
        elif slug == live.get("benchmark"):
            rate = f"{live['rate']:.1f} items a second" if live.get("rate") else "starting"
            lines.append(Line(line, BENCHMARKS[slug].title, live["done"], live["total"], rate))
        else:
            lines.append(Line(line, BENCHMARKS[slug].title, 0, 1, "waiting"))
    return Progress(
        phase=live.get("phase", waits),
        benchmark=live.get("benchmark", ""),
        done=live.get("done", 0),
        total=live.get("total", 0),
        rate=live.get("rate"),
        seconds_left=live.get("eta"),
        benchmarks_done=len(scored),
        benchmarks_total=len(slugs),
        queue_position=told.position if told and not lacking else None,
        expected_start=told.start if told and not lacking else None,
        expected_end=end if not lacking else None,
        expectation=_expectation(told, end, lacking or evaluation.wait_in_words),
        lines=tuple(lines),
    )


def steps_of(submission: Submission) -> list[Step]:
    """The stations of a submission, ending where it stands."""
    way: list[tuple[str, set[Submission.Status]]] = [
        ("Checked", {Status.RECEIVED, Status.INVALID}),
        *([("Smoke run", {Status.TRIED})] if submission.smoke_run else []),
        ("Queued", {Status.QUEUED}),
        ("Evaluated", {Status.EVALUATING, Status.FAILED}),
        ("Reviewed", {Status.IN_REVIEW, Status.REJECTED}),
        ("Published", {Status.PUBLISHED, Status.DISQUALIFIED}),
    ]
    if submission.status == Status.WITHDRAWN:
        return [Step("Submitted", "done"), Step("Withdrawn", "failed")]
    here = next(index for index, (_, states) in enumerate(way) if submission.status in states)
    if (
        submission.smoke_run
        and here > 1
        and not of_present_adapter(submission).filter(smoke_run=False).exists()
    ):
        here = 1
    if submission.status == Status.PUBLISHED:
        return [Step(label, "done") for label, _ in way]
    broken = submission.status in (Status.INVALID, Status.FAILED, Status.REJECTED, Status.DISQUALIFIED)
    steps = []
    for index, (label, _) in enumerate(way):
        if index < here:
            steps.append(Step(label, "done"))
        elif index == here:
            steps.append(Step(label, "failed" if broken else "current", submission.get_status_display()))
        else:
            steps.append(Step(label, "todo"))
    return steps


def _expectation(told: Expectation | None, end: Interval | None, lacking: str) -> str:
    if told is None:
        return forecast.end_in_words(end)
    # What it waits for is its phase already.
    return "" if lacking and told.hindrance != forecast.NO_WORKER else forecast.in_words(told)
