"""A case: all that a reviewer judges a submission by, gathered for one page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from django.utils import timezone

from evaluation import rules
from evaluation.findings import Severity
from evaluation.method.card import MethodCard
from evaluation.rules.challenges import CHALLENGES, Challenge
from leaderboard.entry.facts import ResourceRow, peers_of, resource_rows
from leaderboard.entry.place import Place
from leaderboard.reading import cases
from leaderboard.reading.case_history import Happening, history_of
from leaderboard.reading.fellow_runs import FellowRun, runs_of_method
from leaderboard.review.comparison import Comparison, compare
from leaderboard.review.configuration import Configuration, configuration_of
from leaderboard.review.findings import FindingRow, Weights, finding_rows
from leaderboard.review.marks import Known, Mark, marks_of, would_lead
from leaderboard.standing.would_be import would_be
from portal.submissions.models import Submission


@dataclass(frozen=True)
class Case:
    """`comparison` is None of what was not evaluated; `earlier` are its team's others, newest first,
    `runs` those of its method, where there are several."""

    submission: Submission
    challenge: Challenge
    place: Place | None
    marks: tuple[Mark, ...]
    weights: Weights
    findings: Sequence[FindingRow]
    configuration: Configuration | None
    comparison: Comparison | None
    costs: Sequence[ResourceRow]
    answers: Sequence[cases.AnswerCounts]
    earlier: Sequence[cases.Other]
    runs: Sequence[FellowRun]
    history: Sequence[Happening]

    @property
    def disagreeing(self) -> Sequence[ResourceRow]:
        return [row for row in self.costs if row.disagreement]


def case_of(submission: Submission) -> Case:
    """In a number of queries that does not grow with what is on record."""
    challenge = CHALLENGES[submission.challenge]
    findings = finding_rows(submission.findings.all(), submission.config_text)
    card = MethodCard.from_json(submission.method_card) if submission.method_card else None
    place = _place(submission)
    peers = peers_of(place.standing, place.board) if place else []
    costs = resource_rows(submission.resources.all(), peers)
    earlier = cases.others_of_team(submission)
    comparison = _comparison(submission, place)
    best = max(peers, key=lambda peer: peer.average or 0.0, default=None)
    known = Known(
        codes={row.code for row in findings if row.severity != Severity.NOTE.value},
        leads=bool(place and not place.is_on_board and would_lead(place.entry, best)),
        is_first=not any(cases.came_before(other, submission) for other in earlier),
        resembles=cases.is_anothers(submission),
        costs_disagree=any(row.disagreement for row in costs),
    )
    return Case(
        submission=submission,
        challenge=challenge,
        place=place,
        marks=marks_of(known),
        weights=Weights.of(row.severity for row in findings),
        findings=findings,
        configuration=configuration_of(submission.config_text, card, challenge, findings),
        comparison=comparison,
        costs=costs,
        answers=cases.answers_of(submission, place.protocol) if place else (),
        earlier=earlier,
        runs=runs_of_method(submission),
        history=history_of(submission),
    )


def _place(submission: Submission) -> Place | None:
    try:
        return Place.of(submission)
    except LookupError:
        return None


def _comparison(submission: Submission, place: Place | None) -> Comparison | None:
    """Also of a published one as it would be placed: so its neighbours are found in one way."""
    if place is None:
        return None
    entry = place.entry if place.is_on_board else replace(place.entry, published_at=timezone.now())
    benchmarks = rules.of(entry.challenge, place.protocol).benchmarks
    among = place.would_be or would_be(entry, place.board.standings, benchmarks)
    declared = {score.benchmark: score.percent for score in submission.declared_scores.all()}
    peers = peers_of(among.standing, place.board)
    return compare(among, peers, declared)
