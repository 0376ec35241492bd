"""How far a submission and its evaluation are, in the words and numbers that the submitter sees."""

from __future__ import annotations

from dataclasses import dataclass

from evaluation import rules
from evaluation.benchmarks import BENCHMARKS
from portal.runs.models import Evaluation
from portal.submissions.models import Submission

Status = Submission.Status


@dataclass(frozen=True)
class Line:
    """One benchmark's part of an evaluation: items done of `total`, which is None until it is known."""

    slug: str
    title: str
    done: int
    total: int | None
    detail: str


@dataclass(frozen=True)
class Progress:
    """Live progress: the running benchmark's counts, items a second, seconds left (None while unknown)."""

    phase: str
    benchmark: str
    done: int
    total: int
    rate: float | None
    seconds_left: float | None
    benchmarks_done: int
    benchmarks_total: int
    queue_position: int | None
    lines: tuple[Line, ...]


@dataclass(frozen=True)
class Step:
    """A station on a submission's way; `state` is done, current, todo or failed."""

    label: str
    state: str
    detail: str = ""


def progress_of(evaluation: Evaluation) -> Progress | None:
    """The progress of a queued or running evaluation; None once it is finished."""
    if evaluation.status not in Evaluation.ACTIVE:
        return None
    live = evaluation.progress
    scored = {score.benchmark: score for score in evaluation.scores.all()}
    slugs = rules.of(evaluation.submission.challenge, evaluation.protocol).benchmarks
    lines = []
    for slug in slugs:
        if slug in scored:
            n = scored[slug].n
            lines.append(Line(slug, BENCHMARKS[slug].title, n, n, f"{scored[slug].correct} right"))
        elif slug == live.get("benchmark"):
            rate = f"{live['rate']:.1f} items a second" if live.get("rate") else "starting"
            lines.append(Line(slug, BENCHMARKS[slug].title, live["done"], live["total"], rate))
        else:
            lines.append(Line(slug, BENCHMARKS[slug].title, 0, 1, "waiting"))
    return Progress(
        phase=live.get("phase", "waiting for a free worker"),
        benchmark=live.get("benchmark", ""),
        done=live.get("done", 0),
        total=live.get("total", 0),
        rate=live.get("rate"),
        seconds_left=live.get("eta"),
        benchmarks_done=len(scored),
        benchmarks_total=len(slugs),
        queue_position=_position(evaluation) if evaluation.status == Evaluation.Status.QUEUED else None,
        lines=tuple(lines),
    )


def steps_of(submission: Submission) -> list[Step]:
    """The stations of a submission, ending where it stands."""
    way = [
        ("Checked", {Status.RECEIVED, Status.INVALID}),
        ("Queued", {Status.QUEUED}),
        ("Evaluated", {Status.EVALUATING, Status.FAILED}),
        ("Reviewed", {Status.IN_REVIEW, Status.REJECTED}),
        ("Published", {Status.PUBLISHED, Status.DISQUALIFIED}),
    ]
    if submission.status == Status.WITHDRAWN:
        return [Step("Submitted", "done"), Step("Withdrawn", "failed")]
    here = next(index for index, (_, states) in enumerate(way) if submission.status in states)
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


def _position(evaluation: Evaluation) -> int:
    ahead = Evaluation.objects.filter(
        status=Evaluation.Status.QUEUED, priority__gte=evaluation.priority, queued_at__lt=evaluation.queued_at
    )
    return ahead.count() + 1
