"""Teams and reviewers talk about a submission; notes stay among reviewers."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import DatabaseError, IntegrityError, transaction
from django.test import Client

from portal.accounts import roles
from portal.accounts.models import Membership, User
from portal.discussion import services
from portal.discussion.models import Message
from portal.notifications.mail import message_of
from portal.notifications.models import Delivery
from portal.submissions.models import Submission
from tests.portal import factories

pytestmark = pytest.mark.django_db


@pytest.fixture
def submission(owner: User) -> Submission:
    return factories.evaluated(owner)


def _mails(user: User) -> list[str]:
    own = Delivery.objects.filter(recipient=user, notification__event="submission.message")
    return [str(message_of(delivery).body) for delivery in own]


def test_messages_go_both_ways_and_by_mail(
    as_owner: Client, as_reviewer: Client, owner: User, reviewer: User, submission: Submission
) -> None:
    page = f"/submissions/{submission.pk}/"
    assert as_owner.post(f"{page}messages/", {"text": "Why is it still in review?"}).status_code == 302
    assert any("still in review" in text for text in _mails(reviewer)) and not _mails(owner)
    answer = as_reviewer.post(f"{page}messages/", {"text": "Your <i>log</i> is missing.", "back": page})
    assert answer["Location"] == f"{page}#messages"
    assert any("log" in text for text in _mails(owner))
    shown = as_owner.get(page).content.decode()
    assert "Your &lt;i&gt;log&lt;/i&gt; is missing." in shown and "reviewer</strong>, reviewer" in shown


def test_notes_are_for_reviewers_who_are_not_of_the_team(
    as_owner: Client, owner: User, reviewer: User, submission: Submission
) -> None:
    services.post(submission=submission, author=reviewer, text="Looks like entry 3.", is_note=True)
    assert "entry 3" not in as_owner.get(f"/submissions/{submission.pk}/").content.decode()
    assert not _mails(owner)
    insider = factories.user("insider", is_staff=True)
    Membership.objects.create(team=submission.team, user=insider, role="member")
    assert services.thread_of(submission, insider).messages == []
    assert [m.text for m in services.thread_of(submission, reviewer).messages] == ["Looks like entry 3."]
    with pytest.raises(services.MessageRefused, match="not of the team"):
        services.post(submission=submission, author=insider, text="Fine.", is_note=True)


def test_strangers_neither_read_nor_write(as_stranger: Client, submission: Submission) -> None:
    answer = as_stranger.post(f"/submissions/{submission.pk}/messages/", {"text": "Hello"})
    assert answer.status_code == 404 and not Message.objects.exists()


def test_what_was_refused_is_given_back(as_owner: Client, submission: Submission, settings: Any) -> None:
    long = "x" * (Message.LONGEST + 1)
    answer = as_owner.post(f"/submissions/{submission.pk}/messages/", {"text": long})
    assert answer.status_code == 422 and long in answer.content.decode()
    assert "has at most 4,000 characters" in answer.content.decode()


def test_a_page_elsewhere_is_not_gone_back_to(as_owner: Client, submission: Submission) -> None:
    sent = {"text": "Hello", "back": "https://elsewhere.example/"}
    answer = as_owner.post(f"/submissions/{submission.pk}/messages/", sent)
    assert answer["Location"] == f"/submissions/{submission.pk}/#messages"


def test_the_database_keeps_what_was_said(owner: User, submission: Submission) -> None:
    message = services.post(submission=submission, author=owner, text="Hello")
    with pytest.raises(DatabaseError), transaction.atomic():
        Message.objects.filter(pk=message.pk).update(text="Goodbye")
    with pytest.raises(DatabaseError), transaction.atomic():
        Message.objects.filter(pk=message.pk).delete()
    with pytest.raises(IntegrityError), transaction.atomic():
        Message.objects.create(
            submission=submission, author=owner, text="x", is_note=True, from_reviewer=False
        )


@pytest.mark.usefixtures("groups")
def test_what_a_team_writes_comes_to_reviewers_alone(owner: User, submission: Submission) -> None:
    for role in roles.Role:
        roles.give(factories.user(role.word), role)
    services.post(submission=submission, author=owner, text="Why is it still in review?")
    assert all(
        bool(_mails(User.objects.get(username=role.word))) == (role == "Reviewers") for role in roles.Role
    )


@pytest.mark.usefixtures("groups")
def test_a_reviewer_who_submitted_it_and_left_the_team_reads_no_notes(
    owner: User, reviewer: User, submission: Submission
) -> None:
    services.post(submission=submission, author=reviewer, text="Looks like entry 3.", is_note=True)
    roles.give(owner, roles.Role.REVIEWER)
    submission.team.memberships.all().delete()
    thread = services.thread_of(submission, User.objects.get(pk=owner.pk))
    assert (list(thread.messages), thread.can_write, thread.can_note) == ([], False, False)


def test_what_no_database_holds_is_refused(as_owner: Client, submission: Submission) -> None:
    answer = as_owner.post(f"/submissions/{submission.pk}/messages/", {"text": "a\0b"})
    assert answer.status_code == 422 and not Message.objects.exists()
