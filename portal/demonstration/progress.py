"""How far a demonstration is, by the site's rows: which parts are done, what goes on, how long it takes.

A demonstration that was stopped goes on being counted where it was.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from django.db.models import Prefetch
from django.utils import timezone

from evaluation import rules
from evaluation.benchmarks import BENCHMARKS
from evaluation.demonstration.installed_model import HUB_ID
from portal.demonstration.contents import FEDAVG, UNTUNED, Kind, Part, parts
from portal.runs.models import BaselineRun, Claimable, Evaluation, Score
from portal.submissions.models import BaseModel, Submission

Key = tuple[str, str]
"""A challenge's slug and a method."""

# The first share of a step, in which libraries are loaded, tells nothing of the rest.
_TELLING = 0.25
_UNDER_WAY = {
    Submission.Status.RECEIVED,
    Submission.Status.QUEUED,
    Submission.Status.EVALUATING,
    Submission.Status.IN_REVIEW,
}


@dataclass(frozen=True)
class Step:
    """A part and how far it is: `share` of it, from 0 to 1, after `seconds`; `doing` says what goes on.

    `seconds` is None while nothing measured it, `reason` why it failed for good.
    """

    part: Part
    share: float = 0.0
    seconds: float | None = None
    doing: str = ""
    reason: str = ""

    @property
    def is_done(self) -> bool:
        return self.share >= 1


@dataclass(frozen=True)
class Progress:
    """All steps of a demonstration, in the order in which they are begun."""

    steps: tuple[Step, ...]

    @property
    def done(self) -> int:
        return sum(step.is_done for step in self.steps)

    @property
    def total(self) -> int:
        return len(self.steps)

    @property
    def is_over(self) -> bool:
        """Nothing goes on any more: each step is done or failed."""
        return all(step.is_done or step.reason for step in self.steps)

    @property
    def doing(self) -> list[str]:
        return [step.doing for step in self.steps if step.doing]

    @property
    def failures(self) -> list[str]:
        return list(dict.fromkeys(step.reason for step in self.steps if step.reason))

    @property
    def time_left(self) -> str:
        """In words; what the reference machine took until this one has done something of it."""
        pace = _pace(self.steps)
        minutes = max(1, math.ceil(seconds_left(self.steps, pace or 1.0) / 60))
        spoken = "a minute" if minutes == 1 else f"{minutes} minutes"
        return f"about {spoken} left" if pace else f"about {spoken} on two free cores"


def now(challenges: Sequence[str]) -> Progress:
    """The demonstration of these challenges at this moment."""
    scores = Prefetch("evaluations__scores", Score.objects.only("evaluation_id"))
    submissions = Submission.objects.filter(kind=Submission.Kind.REFERENCE, method__in=[UNTUNED, FEDAVG])
    trainings = BaselineRun.objects.filter(method=FEDAVG).prefetch_related("round_metrics")
    # In this order the newest of equal ones stays.
    entries = {(e.challenge, e.method): e for e in submissions.prefetch_related(scores).order_by("pk")}
    runs = {(run.challenge, run.method): run for run in trainings.order_by("pk")}
    return Progress(tuple(_step(part, entries, runs) for part in parts(challenges)))


def seconds_left(steps: Sequence[Step], pace: float) -> float:
    """Until all steps are done, where each takes `pace` times what it took on the reference machine.

    A worker evaluates and trains side by side, one of each at a time, and evaluates what it has trained.
    """
    building = sum(_left(step, pace) for step in steps if step.part.kind is Kind.BUILDING)
    training = evaluating = building
    trained: dict[str, float] = {}
    for step in steps:
        if step.part.kind is Kind.TRAINING and step.part.challenge:
            training += _left(step, pace)
            trained[step.part.challenge.slug] = training
    for step in steps:
        if step.part.kind is Kind.EVALUATING and step.part.challenge and (left := _left(step, pace)):
            ready = trained.get(step.part.challenge.slug, 0.0) if step.part.method == FEDAVG else 0.0
            evaluating = max(evaluating, ready) + left
    return max(training, evaluating)


def _left(step: Step, pace: float) -> float:
    return 0.0 if step.reason else step.part.seconds * pace * (1 - step.share)


def _pace(steps: Sequence[Step]) -> float | None:
    """How many times longer than on the reference machine steps take here; None while none is far enough."""
    measured = [
        (step.seconds, step.part.seconds * step.share)
        for step in steps
        if step.seconds and step.share >= _TELLING
    ]
    if not measured:
        return None
    return sum(here for here, _ in measured) / sum(there for _, there in measured)


def _step(part: Part, entries: dict[Key, Submission], runs: dict[Key, BaselineRun]) -> Step:
    if part.challenge is None:
        return _building(part)
    key = part.challenge.slug, part.method
    entry, run = entries.get(key), runs.get(key)
    if run is not None and (entry is None or entry.status == Submission.Status.FAILED):
        return _training(part, run, entry)
    if part.kind is Kind.TRAINING:
        return Step(part, share=1.0 if entry else 0.0, seconds=_seconds(run) if run else None)
    return _evaluating(part, entry)


def _building(part: Part) -> Step:
    # Listed by its name alone it has no size yet.
    if BaseModel.objects.filter(hub_id=HUB_ID, parameters__isnull=False).exists():
        return Step(part, share=1.0)
    return Step(part, doing=f"Building the base model {HUB_ID} from its package")


def _training(part: Part, run: BaselineRun, entry: Submission | None) -> Step:
    """Either part of a baseline whose run has led to no entry yet, or to `entry`, which failed."""
    title = f"{run.get_challenge_display()}: training “{run.method}”"
    match run.status:
        case BaselineRun.Status.FAILED:
            return Step(part, reason=f"{title} failed: {run.error_message}")
        case BaselineRun.Status.CANCELLED:
            return Step(part, share=1.0)
        case BaselineRun.Status.SUCCEEDED if part.kind is Kind.TRAINING:
            return Step(part, share=1.0, seconds=_seconds(run))
        case BaselineRun.Status.SUCCEEDED:
            return _evaluating(part, entry)
    if part.kind is not Kind.TRAINING:
        return Step(part)
    share = run.rounds_done / (run.rounds + 1)  # loading the model takes about as long as a round
    if run.status == BaselineRun.Status.QUEUED:
        return Step(part, share=share)
    last = next(iter(run.round_metrics.all().reverse()), None) if run.rounds_done else None
    loss = f", loss {last.train_loss:.2f}" if last and last.train_loss is not None else ""
    doing = f"{title}, round {run.rounds_done + 1} of {run.rounds}{loss}"
    if run.rounds_done == run.rounds:
        doing = f"{title}, sending the result{loss}"
    return Step(part, share=share, seconds=_seconds(run), doing=doing)


def _evaluating(part: Part, entry: Submission | None) -> Step:
    if entry is None:
        return Step(part)
    title = f"{entry.get_challenge_display()}: evaluating “{entry.method}”"
    # The newest, or with several protocols the one that runs.
    of_boards = [one for one in entry.evaluations.all() if one.purpose == Evaluation.Purpose.BOARD]
    found = sorted(of_boards, key=lambda one: one.status != Evaluation.Status.RUNNING)
    evaluation = found[0] if found else None
    if entry.status == Submission.Status.FAILED:
        why = evaluation.error_message if evaluation else "it was not evaluated"
        return Step(part, reason=f"{title} failed: {why}")
    if entry.status not in _UNDER_WAY:
        return Step(part, share=1.0, seconds=_seconds(evaluation) if evaluation else None)
    if entry.status == Submission.Status.IN_REVIEW:
        return Step(part, share=0.99, doing=f"{entry.get_challenge_display()}: publishing “{entry.method}”")
    if evaluation is None or evaluation.status != Evaluation.Status.RUNNING:
        return Step(part)
    live = evaluation.progress
    running = live["done"] / live["total"] if live.get("total") else 0.0
    benchmarks = rules.of(entry.challenge, evaluation.protocol).benchmarks
    # When the last benchmark is scored its progress still stands there; done is what has ended.
    share = min((len(evaluation.scores.all()) + running) / (len(benchmarks) + 1), 0.98)
    what = f" on {BENCHMARKS[live['benchmark']].title}" if live.get("benchmark") else ""
    return Step(part, share=share, seconds=_seconds(evaluation), doing=f"{title}{what}")


def _seconds(work: Claimable) -> float | None:
    ended = work.finished_at or timezone.now()
    return (ended - work.started_at).total_seconds() if work.started_at else None
