"""What is known of a submission's method and costs, as its pages show it."""

from __future__ import annotations

from dataclasses import dataclass

from evaluation.inspection.flower_run import recorded
from evaluation.method.card import MethodCard
from portal.submissions.models import DeclaredScore, Resource, Submission


@dataclass(frozen=True)
class KnownOfMethod:
    """The method as rows of label and text, every resource figure, and the scores that were declared.

    `recorded` is what Flower recorded of the run, by the file that its team sent.
    """

    method: tuple[tuple[str, str], ...]
    resources: list[Resource]
    declared_scores: list[DeclaredScore]
    recorded: tuple[tuple[str, str], ...] = ()

    def __bool__(self) -> bool:
        return bool(self.method or self.resources or self.declared_scores)


def card_of(submission: Submission) -> KnownOfMethod:
    card, run = submission.method_card, recorded(submission.flower_run_text)
    return KnownOfMethod(
        method=MethodCard.from_json(card).rows() if card else (),
        resources=list(submission.resources.all()),
        declared_scores=list(submission.declared_scores.all()),
        recorded=run.rows() if run else (),
    )
