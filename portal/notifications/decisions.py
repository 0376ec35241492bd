"""What reviewers are told of decisions that need two of them."""

from __future__ import annotations

from collections.abc import Iterable

from django.conf import settings
from django.db import transaction

from portal.accounts.models import User
from portal.notifications.models import Event
from portal.notifications.services import payload_of, tell
from portal.submissions.models import Submission


@transaction.atomic
def decision_waits(submission: Submission, what: str, *, reason: str, by: User, to: Iterable[User]) -> None:
    """Tell the reviewers by e-mail that a decision waits for one of them to agree."""
    facts = {**_facts(submission, what, by), "reason": reason}
    _tell(Event.DECISION_WAITS, facts, to)


@transaction.atomic
def decision_answered(
    submission: Submission, what: str, *, agreed: bool, reason: str, by: User, to: User
) -> None:
    """Tell a reviewer by e-mail what became of the decision that they proposed."""
    facts = {**_facts(submission, what, by), "agreed": agreed, "reason": reason}
    _tell(Event.DECISION_ANSWERED, facts, [to])


def _tell(event: Event, facts: dict[str, object], to: Iterable[User]) -> None:
    recipients = [user for user in to if user.is_active and user.email]
    if recipients:
        tell(event, None, payload_of(event, {"decision": facts}), [], recipients)


def _facts(submission: Submission, what: str, by: User) -> dict[str, object]:
    return {
        "submission": submission.pk,
        "method": submission.method,
        "what": what,
        "by": by.public_name,
        "page": f"{settings.SITE_URL}/review/{submission.pk}/",
    }
