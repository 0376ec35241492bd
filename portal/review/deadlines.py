"""Closing what teams were asked to change and did not send again in time."""

from __future__ import annotations

from django.db import transaction
from django.utils import timezone

from portal.intake.services import withdraw
from portal.notifications.models import Event
from portal.notifications.services import submission_changed
from portal.review.models import ChangeRequest, Decision
from portal.submissions.models import Submission


def open_request(submission: Submission) -> ChangeRequest | None:
    """What the team is asked to change at present."""
    if not submission.is_returned:
        return None
    asked = ChangeRequest.objects.filter(decision__submission=submission, decision__undone_by=None)
    return asked.select_related("decision").last()


def close_overdue() -> int:
    """Withdraw the submissions whose changes did not come in time, tell their teams, and return how many."""
    overdue = Submission.objects.filter(
        status=Submission.Status.RECEIVED,
        decisions__action=Decision.Action.CHANGES,
        decisions__change_request__due_at__lte=timezone.now(),
        decisions__change_request__lapsed_at=None,
    ).distinct()
    return sum(_close(submission) for submission in overdue)


@transaction.atomic
def _close(submission: Submission) -> bool:
    current = Submission.objects.select_for_update().get(pk=submission.pk)
    asked, now = open_request(current), timezone.now()
    if asked is None or asked.due_at > now:  # sent, withdrawn or asked anew at this moment
        return False
    withdraw(current)
    asked.lapsed_at = now
    asked.save(update_fields=["lapsed_at"])
    submission_changed(current, event=Event.LAPSED, until=f"{asked.due_at:%Y-%m-%d %H:%M} UTC")
    return True
