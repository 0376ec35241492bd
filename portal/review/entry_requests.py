"""Requests about published entries: asked by anybody signed in, answered by reviewers."""

from __future__ import annotations

from datetime import timedelta

from django.db import transaction
from django.utils import timezone

from portal.accounts.models import Team, User
from portal.notifications.services import entry_requested
from portal.review.models import EntryRequest
from portal.submissions.models import Submission

MOST_A_DAY = 5
"""Of a person."""

Kind, State = EntryRequest.Kind, EntryRequest.State


class RequestRefused(Exception):
    """The request is not taken; the text says to the user why."""


@transaction.atomic
def claim(*, user: User, team: Team, submission: Submission, reason: str, link: str) -> EntryRequest:
    """Put on record that an imported entry is the team's own, and tell the reviewers.

    Raises RequestRefused.
    """
    User.objects.select_for_update().get(pk=user.pk)  # one after the other, so that none slips past the limit
    if submission.kind != Submission.Kind.IMPORTED or submission.status != Submission.Status.PUBLISHED:
        raise RequestRefused("Only entries taken over from another board can be claimed.")
    if submission.team_id == team.pk:
        raise RequestRefused("The entry is your team's already.")
    own = EntryRequest.objects.filter(user=user)
    if own.filter(submission=submission, kind=Kind.CLAIM, state=State.OPEN).exists():
        raise RequestRefused("You claimed this entry already; the reviewers have not answered yet.")
    if own.filter(created_at__gt=timezone.now() - timedelta(days=1)).count() >= MOST_A_DAY:
        raise RequestRefused(f"You sent {MOST_A_DAY} requests today, which is the limit. Ask tomorrow.")
    request = EntryRequest.objects.create(
        submission=submission, kind=Kind.CLAIM, user=user, team=team, reason=reason, link=link
    )
    entry_requested(entry=submission.pk, kind=Kind.CLAIM, reason=reason, user=user, team=team)
    return request


@transaction.atomic
def answer(request: EntryRequest, *, reviewer: User, accept: bool, text: str = "") -> None:
    """Answer an open request; the entry itself stays as it was taken over. Raises RequestRefused."""
    changed = EntryRequest.objects.filter(pk=request.pk, state=State.OPEN).update(
        state=State.ACCEPTED if accept else State.DECLINED,
        answer=text or request.answer,
        answered_by=reviewer,
        answered_at=timezone.now(),
    )
    if not changed:
        raise RequestRefused("The request is answered already.")
