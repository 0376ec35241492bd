"""Requests about entries: people who are signed in ask, reviewers whom they do not concern answer."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import Q, QuerySet
from django.urls import reverse
from django.utils import timezone

from portal.accounts.access import reviewers
from portal.accounts.models import Team, User
from portal.notifications import services as notifications
from portal.queues import wake_board_builders
from portal.review.cases import may_decide
from portal.review.models import Decision, EntryRequest
from portal.submissions.models import Submission

MOST_A_DAY = 5
"""Of a person, of all kinds together."""
REPLY_TIME = timedelta(days=14)
"""That the team of an entry has to answer an objection before the reviewers conclude without it."""

Kind, State = EntryRequest.Kind, EntryRequest.State
Status = Submission.Status


class RequestRefused(Exception):
    """The request is not taken; the text says to the user why."""


@dataclass(frozen=True)
class Objection:
    """An objection as everybody reads it on the entry's page."""

    id: int
    by: str
    at: Any
    text: str
    link: str
    due_at: Any
    is_overdue: bool
    reply: str
    replied_at: Any
    state: str
    is_open: bool
    answer: str
    answered_at: Any


@transaction.atomic
def ask(
    *,
    user: User,
    kind: EntryRequest.Kind,
    submission: Submission,
    reason: str,
    link: str = "",
    team: Team | None = None,
) -> EntryRequest:
    """Put a request on record and tell the reviewers; of an objection its entry's team too.

    `team` is for whom it is asked: claims and appeals need it. Raises RequestRefused.
    """
    User.objects.select_for_update(no_key=True).get(
        pk=user.pk
    )  # one after the other, so that none slips past the limit
    current = Submission.objects.select_related("team").get(pk=submission.pk)
    _refuse_pointless(kind, current, user, team)
    own = EntryRequest.objects.filter(user=user)
    if own.filter(submission=current, kind=kind, state=State.OPEN).exists():
        raise RequestRefused(f"Your {kind.label} is with the reviewers already; they have not answered yet.")
    if own.filter(created_at__gt=timezone.now() - timedelta(days=1)).count() >= MOST_A_DAY:
        raise RequestRefused(f"You sent {MOST_A_DAY} requests today, which is the limit. Ask tomorrow.")
    request = EntryRequest.objects.create(
        submission=current,
        kind=kind,
        user=user,
        team=team,
        reason=reason,
        link=link,
        due_at=timezone.now() + REPLY_TIME if kind == Kind.OBJECTION else None,
    )
    facts = _facts(request, reverse("review:request", args=[request.pk]))
    notifications.entry_requested(facts, _readers(request))
    if kind == Kind.OBJECTION:
        page = reverse("review:reply", args=[request.pk])
        notifications.entry_objected(current, _facts(request, page))
    return request


@transaction.atomic
def reply(request: EntryRequest, *, user: User, text: str) -> None:
    """Answer an objection for the entry's team, once and in public. Raises RequestRefused."""
    current = EntryRequest.objects.select_for_update().select_related("submission").get(pk=request.pk)
    if current.kind != Kind.OBJECTION or not _members(current.submission.team_id, user):
        raise RequestRefused("Only its team answers an objection to an entry.")
    if current.state != State.OPEN:
        raise RequestRefused("The reviewers concluded already.")
    if current.replied_at:
        raise RequestRefused("Your team answered already; the answer stands on the entry's page.")
    current.reply, current.replied_by, current.replied_at = text, user, timezone.now()
    current.save(update_fields=["reply", "replied_by", "replied_at"])
    facts = _facts(current, reverse("review:request", args=[current.pk]))
    told = facts | {"reason": text, "kind": "reply to an objection", "user": user.username}
    notifications.entry_requested(told, _readers(current))


@transaction.atomic
def answer(
    request: EntryRequest, *, reviewer: User, accept: bool, text: str = "", hide: bool = False
) -> None:
    """Answer an open request, and tell who asked. An accepted claim hands the entry over to the team.

    `hide` takes the text of an objection off the public page. An accepted appeal or objection changes nothing
    by itself: the decision is taken on the case. Raises RequestRefused.
    """
    current = (
        EntryRequest.objects.select_for_update(of=("self",))
        .select_related("submission__team", "user", "team")
        .get(pk=request.pk)
    )
    if current.state != State.OPEN:
        raise RequestRefused("The request is answered already.")
    text = text.strip()
    if not text:
        raise RequestRefused("Write an answer: who asked reads it.")
    _refuse_concerned(current, reviewer)
    current.state = State.ACCEPTED if accept else State.DECLINED
    current.answer, current.answered_by, current.answered_at = text, reviewer, timezone.now()
    current.is_hidden = hide and current.kind == Kind.OBJECTION
    current.save(update_fields=["state", "answer", "answered_by", "answered_at", "is_hidden"])
    if accept and current.kind == Kind.CLAIM:
        _hand_over(current)
    notifications.entry_answered(current.user, _facts(current, _page_of(current)))


def objections_to(submission: Submission) -> list[Objection]:
    """What was objected to an entry in public, the newest first, without what the reviewers hid."""
    found = EntryRequest.objects.filter(submission=submission, kind=Kind.OBJECTION, is_hidden=False)
    now = timezone.now()
    return [
        Objection(
            id=one.pk,
            by=one.user.username,
            at=one.created_at,
            text=one.reason,
            link=one.link,
            due_at=one.due_at,
            is_overdue=one.due_at is not None and one.due_at < now,
            reply=one.reply,
            replied_at=one.replied_at,
            state=one.get_state_display(),
            is_open=one.state == State.OPEN,
            answer=one.answer,
            answered_at=one.answered_at,
        )
        for one in found.select_related("user")
    ]


def shown_to(user: User) -> QuerySet[EntryRequest]:
    """The requests that a reviewer may read: not those that concern them."""
    concerned = EntryRequest.objects.filter(_concerns(user))
    return EntryRequest.objects.exclude(pk__in=concerned.values("pk"))


def _concerns(user: User) -> Q:
    """What a user asked, for a team of theirs, or what is about an entry of the own team. The site's own
    reference entries are nobody's, as with decisions."""
    of_team = Q(submission__team__memberships__user=user) | Q(submission__submitter=user)
    is_own = of_team & ~Q(submission__kind=Submission.Kind.REFERENCE)
    return Q(user=user) | Q(team__memberships__user=user) | is_own


def _readers(request: EntryRequest) -> list[User]:
    """The reviewers whom a request does not concern."""
    one = EntryRequest.objects.filter(pk=request.pk)
    return [user for user in reviewers() if not one.filter(_concerns(user)).exists()]


def _refuse_pointless(kind: EntryRequest.Kind, submission: Submission, user: User, team: Team | None) -> None:
    if kind == Kind.APPEAL:
        if submission.status not in (Status.REJECTED, Status.DISQUALIFIED):
            raise RequestRefused("Appeals are against a rejection or a disqualification.")
        if team is None or submission.team_id != team.pk or not _members(team.pk, user):
            raise RequestRefused("Only its team appeals against the decision on a submission.")
        return
    if submission.status not in Submission.PUBLIC:
        raise RequestRefused("The entry is not public.")
    if kind == Kind.CLAIM:
        if submission.kind != Submission.Kind.IMPORTED or submission.status != Status.PUBLISHED:
            raise RequestRefused("Only entries taken over from another board can be claimed.")
        if team is None or not _members(team.pk, user):
            raise RequestRefused("An entry is claimed for one of your teams.")
        if submission.team_id == team.pk:
            raise RequestRefused("The entry is your team's already.")
    elif _members(submission.team_id, user):
        raise RequestRefused("It is your own team's entry: write to the reviewers on the submission's page.")


def _refuse_concerned(request: EntryRequest, reviewer: User) -> None:
    if not may_decide(reviewer):
        raise RequestRefused("Only reviewers answer.")
    if reviewer.pk == request.user_id:
        raise RequestRefused("You asked this yourself, so somebody else answers it.")
    readers = {user.pk for user in _readers(request)}
    if reviewer.pk not in readers:
        raise RequestRefused("It concerns a team of yours, so somebody else answers it.")
    deciders = _deciders(request.submission) if request.kind == Kind.APPEAL else set()
    if reviewer.pk in deciders and readers - deciders:
        raise RequestRefused("The appeal is against your decision, so somebody else answers it.")


def _deciders(submission: Submission) -> set[int]:
    """Who took the decision that an appeal is against, and who agreed to it."""
    refusals = (Decision.Action.REJECT, Decision.Action.DISQUALIFY)
    taken = submission.decisions.in_effect().filter(action__in=refusals).select_related("confirmation")
    last = taken.order_by("-pk").first()
    if last is None:
        return set()
    said = getattr(last, "confirmation", None)
    return {last.reviewer_id, said.reviewer_id} if said else {last.reviewer_id}


def _hand_over(claim: EntryRequest) -> None:
    """The entry becomes the claiming team's; it stays what it was, declared elsewhere and not evaluated."""
    assert claim.team
    Submission.objects.filter(pk=claim.submission_id, kind=Submission.Kind.IMPORTED).update(team=claim.team)
    wake_board_builders()


def _members(team: int, user: User) -> bool:
    return user.memberships.filter(team=team).exists()


def _page_of(request: EntryRequest) -> str:
    if request.kind == Kind.APPEAL:
        return request.submission.get_absolute_url()
    return reverse(f"review:{request.kind}", args=[request.submission_id])


def _facts(request: EntryRequest, page: str) -> dict[str, Any]:
    return {
        "entry": request.submission_id,
        "method": request.submission.method,
        "kind": request.kind,
        "reason": request.reason,
        "link": request.link,
        "user": request.user.username,
        "team": request.team.name if request.team else "",
        "due": f"{request.due_at:%Y-%m-%d}" if request.due_at else "",
        "state": request.get_state_display(),
        "answer": request.answer,
        "page": settings.SITE_URL + page,
    }
