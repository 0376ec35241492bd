"""What is known of a submission's method and costs, as its pages show it."""

from __future__ import annotations

from dataclasses import dataclass

from evaluation.method.card import MethodCard
from portal.submissions.models import DeclaredScore, Resource, Submission


@dataclass(frozen=True)
class KnownOfMethod:
    """The method as rows of label and text, every resource figure, and the scores that were declared."""

    method: tuple[tuple[str, str], ...]
    resources: list[Resource]
    declared_scores: list[DeclaredScore]

    def __bool__(self) -> bool:
        return bool(self.method or self.resources or self.declared_scores)


def card_of(submission: Submission) -> KnownOfMethod:
    card = submission.method_card
    return KnownOfMethod(
        method=MethodCard.from_json(card).rows() if card else (),
        resources=list(submission.resources.all()),
        declared_scores=list(submission.declared_scores.all()),
    )
