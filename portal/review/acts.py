"""The acts of a reviewer: what each does, from which states, and what team and readers see of it.

One table that the desk's pages, the services and the documentation read.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from portal.review.models import Decision
from portal.submissions.models import Submission

Action = Decision.Action
Status = Submission.Status
Kind = Submission.Kind

DEADLINE = timedelta(days=14)
"""Offered to reviewers who ask for changes."""
LONGEST_DEADLINE = timedelta(days=90)


@dataclass(frozen=True)
class Act:
    """What a reviewer can do with a case.

    `consequence` says in sentences what happens, what team and readers see, and what cannot be undone.
    `is_public`: readers see it at once, so that a reviewer confirms it. `becomes` is None where the
    status follows from something else, as from an evaluation. `kinds` are those it is possible for.
    """

    action: Action
    title: str
    consequence: str
    allowed: tuple[Status, ...]
    becomes: Status | None = None
    is_public: bool = False
    asks_deadline: bool = False
    kinds: tuple[Kind, ...] = (Kind.COMMUNITY, Kind.REFERENCE)

    @property
    def needs_reason(self) -> bool:
        return self.action in Decision.NEEDS_REASON

    @property
    def can_be_undone(self) -> bool:
        """For a quarter of an hour, while nobody acted on it."""
        return self.action in Decision.UNDOABLE


_IN_ORDER = (
    Act(
        Action.PUBLISH,
        "Publish",
        "The entry is ranked on its board, with page, scores and answers for everybody, and stands in the "
        "change log. The team gets a mail. It cannot be undone: a published entry can only be disqualified, "
        "or withdrawn by its team, and its page stays.",
        (Status.IN_REVIEW,),
        Status.PUBLISHED,
        is_public=True,
    ),
    Act(
        Action.CHANGES,
        "Ask for changes",
        "The submission goes back to its team as a draft under its number, with your reason and a deadline "
        "by mail. The team can change texts, configuration and adapter and send it again; a changed adapter "
        "is evaluated anew. After the deadline it is closed. Readers see nothing. Challenge, team and base "
        "model stay.",
        (Status.IN_REVIEW,),
        Status.RECEIVED,
        asks_deadline=True,
        kinds=(Kind.COMMUNITY,),
    ),
    Act(
        Action.REJECT,
        "Reject",
        "It is not published. The team gets your reason by mail and on the submission's page. Readers see "
        "nothing. A rejection can be taken back at any time.",
        (Status.IN_REVIEW,),
        Status.REJECTED,
    ),
    Act(
        Action.REOPEN,
        "Take back the rejection",
        "The submission is in review again, with the scores that it has. The team gets a mail that says so. "
        "Readers see nothing.",
        (Status.REJECTED,),
        Status.IN_REVIEW,
    ),
    Act(
        Action.RERUN,
        "Evaluate again",
        "New evaluations are queued, before those of teams. A submission in review leaves it until they are "
        "done. A published entry keeps place and scores meanwhile; the new scores then replace the old ones "
        "in public and stand in the change log. It cannot be undone.",
        (Status.IN_REVIEW, Status.FAILED, Status.PUBLISHED),
    ),
    Act(
        Action.RETRAIN,
        "Retrain",
        "A training run with the settings of the method card is queued; what the card leaves open is "
        "assumed and said. The result is compared with the submission. Readers see it when the retrained "
        "entry is published and the comparison is confirmed. The run can be cancelled on its page.",
        (Status.IN_REVIEW, Status.PUBLISHED),
        kinds=(Kind.COMMUNITY,),
    ),
    Act(
        Action.HOLD,
        "Hold",
        "Nothing is decided on the case until somebody releases it. The team gets a mail with your reason "
        "and can still withdraw. Readers see nothing.",
        (Status.IN_REVIEW,),
    ),
    Act(
        Action.RELEASE,
        "Release",
        "The case can be decided again. The team gets a mail. Readers see nothing.",
        (Status.IN_REVIEW,),
    ),
    Act(
        Action.DISQUALIFY,
        "Disqualify",
        "The entry leaves its board at once. Its page stays and shows your reason to everybody, as does "
        "the change log. What is being evaluated of it ends. The team gets a mail. It can be reinstated, "
        "but what was public stays on record.",
        (Status.PUBLISHED,),
        Status.DISQUALIFIED,
        is_public=True,
        kinds=(Kind.COMMUNITY, Kind.REFERENCE, Kind.IMPORTED),
    ),
    Act(
        Action.REINSTATE,
        "Reinstate",
        "The entry is ranked again, with the scores it had. Your reason stands on its page and in the change "
        "log, beside that of the disqualification. The team gets a mail.",
        (Status.DISQUALIFIED,),
        Status.PUBLISHED,
        is_public=True,
        kinds=(Kind.COMMUNITY, Kind.REFERENCE, Kind.IMPORTED),
    ),
)

ACTS: dict[Action, Act] = {act.action: act for act in _IN_ORDER}


def acts_for(submission: Submission, *, on_hold: bool = False) -> list[Act]:
    """What its status and kind allow, in the order in which it is offered; on hold, to release it alone."""
    found = [act for act in _IN_ORDER if submission.status in act.allowed and submission.kind in act.kinds]
    return [act for act in found if (act.action == Action.RELEASE) == on_hold]
