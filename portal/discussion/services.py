"""Who may say what about a submission, who reads it, and who is told."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from django.db import transaction
from django.db.models import Q, QuerySet

from portal.accounts.access import reviewers, sees_all
from portal.accounts.models import User
from portal.discussion.models import Message
from portal.notifications.services import message_posted
from portal.rates import hit
from portal.submissions.models import Submission

RATE = "20/hour"
"""Of a person."""


class MessageRefused(Exception):
    """The message is not taken; the text says to its author why."""


class TooManyMessages(MessageRefused):
    """The author wrote so many that the next one is taken in `wait` seconds."""

    def __init__(self, wait: int) -> None:
        super().__init__("That were many messages in a short time. Try again in some minutes.")
        self.wait = wait


@dataclass(frozen=True)
class Thread:
    """A submission's messages as one person may read them, and what that person may add."""

    submission: Submission
    messages: Sequence[Message]
    can_write: bool
    can_note: bool


def thread_of(submission: Submission, user: User) -> Thread:
    is_member = _is_member(submission, user)
    is_reviewer = not is_member and _reviews(submission, user)
    is_open = _is_open(submission)
    return Thread(
        submission=submission,
        messages=list(readable_messages(submission, user)),
        can_write=is_open and (is_member or is_reviewer),
        can_note=is_open and is_reviewer,
    )


def readable_messages(submission: Submission, user: User) -> QuerySet[Message]:
    """Of a thread that the user may read at all."""
    messages = submission.messages.select_related("author")
    if not _is_member(submission, user) and _reviews(submission, user):
        return messages
    # Also of a reviewer who belongs to the team: the others speak freely about it.
    return messages.filter(is_note=False)


def post(*, submission: Submission, author: User, text: str, is_note: bool = False) -> Message:
    """Add a message and tell those whom it is for. Raises MessageRefused."""
    text = text.strip()
    is_member = _is_member(submission, author)
    if not is_member and not _reviews(submission, author):
        raise MessageRefused("Only its team and the reviewers write about a submission here.")
    if not _is_open(submission):
        raise MessageRefused("There is nothing to talk about yet: the submission was not sent.")
    if is_note and is_member:
        raise MessageRefused("Notes are among reviewers who are not of the team. Write a message instead.")
    if not text:
        raise MessageRefused("Write something first.")
    if "\0" in text:
        raise MessageRefused("It holds a character that is no text. Write it anew.")
    if len(text) > Message.LONGEST:
        raise MessageRefused(f"A message has at most {Message.LONGEST:,} characters; this has {len(text):,}.")
    counted = hit(RATE, "message", str(author.pk))
    if not counted.is_allowed:
        raise TooManyMessages(counted.reset)
    return _posted(submission, author, text, from_reviewer=not is_member, is_note=is_note)


@transaction.atomic
def _posted(
    submission: Submission, author: User, text: str, *, from_reviewer: bool, is_note: bool
) -> Message:
    message = Message.objects.create(
        submission=submission, author=author, text=text, from_reviewer=from_reviewer, is_note=is_note
    )
    message_posted(
        submission,
        author=author,
        text=text,
        to_team=from_reviewer and not is_note,
        reviewers=_reviewers_of(submission, besides=author),
    )
    return message


def _reviewers_of(submission: Submission, *, besides: User) -> list[User]:
    """Those who wrote or decided here; where nobody did yet, all. Never members of the team."""
    members = Q(memberships__team=submission.team_id)
    of_team = User.objects.filter(members).values("pk")
    all_of_them = reviewers().exclude(email="").exclude(pk__in=of_team).exclude(pk=besides.pk)
    involved = Q(messages__submission=submission, messages__from_reviewer=True) | Q(
        decisions__submission=submission
    )
    found = all_of_them.filter(involved).distinct()
    if found or besides.decisions.filter(submission=submission).exists():
        return list(found)
    return list(all_of_them)


def _reviews(submission: Submission, user: User) -> bool:
    """Not who submitted it and has left the team since."""
    return sees_all(user) and submission.submitter_id != user.pk


def _is_member(submission: Submission, user: User) -> bool:
    return submission.team.memberships.filter(user=user).exists()


def _is_open(submission: Submission) -> bool:
    """Whether anybody but its team knows of it; an imported entry has no team that reads here before it is
    handed over."""
    if submission.kind == Submission.Kind.IMPORTED:
        return submission.team.memberships.exists()
    return submission.status != Submission.Status.RECEIVED or submission.decisions.exists()
