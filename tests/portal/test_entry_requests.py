"""People claim, report, object and appeal; whom it concerns does not answer."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import DatabaseError, connection, transaction
from django.test import Client
from django.utils import timezone

from evaluation.rules.protocol import PUBLIC
from leaderboard.reading import snapshots
from portal.account_pages import closing
from portal.accounts import roles
from portal.accounts.models import Membership, User, personal_team
from portal.discussion.services import thread_of
from portal.intake.board_import import import_rows, read_board
from portal.notifications.mail import message_of
from portal.notifications.models import Delivery
from portal.review import cases, entry_requests
from portal.review.entry_requests import Kind
from portal.review.models import Decision, EntryRequest
from portal.review.services import confirm
from portal.submissions.models import Submission
from tests.portal import factories

pytestmark = pytest.mark.django_db
REASON = "Our pull request of March brought it there."


@pytest.fixture
def imported() -> Submission:
    lines = [
        "challenge,rank,team,base_model,communication_gb,score_1,score_2,score_3,score_4,date",
        "finance,7,Example team,Example-7B,2.9,60.00,60.00,60.00,,14.01.26",
    ]
    import_rows(read_board(lines), source="https://board.example/")
    return Submission.objects.get(kind=Submission.Kind.IMPORTED)


@pytest.fixture
def entry(owner: User) -> Submission:
    return factories.published(owner)


@pytest.fixture
def second(db: None) -> User:
    """Another reviewer than who publishes."""
    return factories.user("second", is_staff=True, is_superuser=True)


def test_an_accepted_claim_hands_the_entry_over(
    as_owner: Client, owner: User, reviewer: User, imported: Submission
) -> None:
    page = f"/entries/{imported.pk}/claim/"
    assert "https://board.example/" in as_owner.get(page).content.decode() and imported.source_place == 7
    assert as_owner.post(page, {"team": personal_team(owner).pk, "reason": REASON}).status_code == 302
    claim = EntryRequest.objects.get()
    assert Delivery.objects.filter(recipient=reviewer).count() == 1
    assert "waiting for the reviewers" in as_owner.get(page).content.decode()
    again = as_owner.post(page, {"team": personal_team(owner).pk, "reason": REASON})
    assert again.status_code == 422 and "with the reviewers already" in again.content.decode()
    entry_requests.answer(claim, reviewer=reviewer, accept=True, text="Welcome.")
    imported.refresh_from_db()
    assert imported.team == personal_team(owner) and imported.kind == Submission.Kind.IMPORTED
    assert "Welcome." in as_owner.get(page).content.decode()
    assert "Welcome." in message_of(Delivery.objects.get(recipient=owner)).body
    with pytest.raises(entry_requests.RequestRefused, match="answered already"):
        entry_requests.answer(claim, reviewer=reviewer, accept=False, text="No.")


def test_only_entries_from_elsewhere_are_claimed_and_only_by_people(
    as_owner: Client, entry: Submission
) -> None:
    assert as_owner.get(f"/entries/{entry.pk}/claim/").status_code == 404
    assert Client().get(f"/entries/{entry.pk}/claim/").status_code == 302


def test_an_objection_stands_on_the_entry_with_the_answers_to_it(
    as_owner: Client, as_stranger: Client, second: User, entry: Submission
) -> None:
    reason = "Its <b>adapter</b> is ours, byte for byte."
    answer = as_stranger.post(f"/entries/{entry.pk}/object/", {"reason": reason})
    assert answer.status_code == 302
    objection = EntryRequest.objects.get()
    told = message_of(Delivery.objects.get(recipient__username="owner", notification__event="entry.objected"))
    assert reason in told.body and f"/objections/{objection.pk}/reply/" in told.body
    public = Client().get(f"/entries/{entry.pk}/").content.decode()
    assert "Its &lt;b&gt;adapter&lt;/b&gt; is ours" in public and "may answer until" in public
    assert as_stranger.get(f"/objections/{objection.pk}/reply/").status_code == 404
    reply = {"text": "We trained it in May."}
    assert as_owner.post(f"/objections/{objection.pk}/reply/", reply).status_code == 302
    assert as_owner.post(f"/objections/{objection.pk}/reply/", reply).status_code == 422
    entry_requests.answer(objection, reviewer=second, accept=False, text="The files differ.")
    public = Client().get(f"/entries/{entry.pk}/").content.decode()
    assert "We trained it in May." in public and "The files differ." in public


def test_an_insult_is_taken_off_the_page_and_stays_on_record(
    as_stranger: Client, second: User, entry: Submission
) -> None:
    as_stranger.post(f"/entries/{entry.pk}/object/", {"reason": "Buy our watches."})
    entry_requests.answer(
        EntryRequest.objects.get(), reviewer=second, accept=False, text="Advertising.", hide=True
    )
    assert "watches" not in Client().get(f"/entries/{entry.pk}/").content.decode()
    assert EntryRequest.objects.get().reason == "Buy our watches."


def test_a_report_is_read_by_reviewers_alone(
    as_owner: Client, as_stranger: Client, as_reviewer: Client, entry: Submission
) -> None:
    as_stranger.post(f"/entries/{entry.pk}/report/", {"reason": "It looks like entry 3."})
    report = EntryRequest.objects.get()
    assert "looks like" not in as_owner.get(f"/entries/{entry.pk}/").content.decode()
    assert as_owner.get("/review/requests/").status_code == 404
    page = f"/review/requests/{report.pk}/"
    assert as_owner.get(page).status_code == 404
    assert "Report" in as_reviewer.get("/review/requests/").content.decode()
    assert "It looks like entry 3." in as_reviewer.get(page).content.decode()
    assert as_reviewer.post(page, {"text": "", "verdict": "accept"}).status_code == 422
    assert as_reviewer.post(page, {"text": "Thank you, we look.", "verdict": "accept"}).status_code == 302
    assert "Thank you, we look." in as_stranger.get(f"/entries/{entry.pk}/report/").content.decode()


def test_an_appeal_is_not_answered_by_who_decided(
    as_owner: Client, as_stranger: Client, reviewer: User, second: User, owner: User
) -> None:
    refused = factories.evaluated(owner)
    factories.review(refused, reviewer, Decision.Action.REJECT, reason="A copy.")
    page = f"/submissions/{refused.pk}/appeal/"
    assert f"{page}" in as_owner.get(f"/submissions/{refused.pk}/").content.decode()
    assert as_stranger.get(page).status_code == 404
    assert as_owner.post(page, {"reason": "It is our own earlier entry."}).status_code == 302
    appeal = EntryRequest.objects.get(kind=Kind.APPEAL)
    with pytest.raises(entry_requests.RequestRefused, match="against your decision"):
        entry_requests.answer(appeal, reviewer=reviewer, accept=False, text="No.")
    entry_requests.answer(appeal, reviewer=second, accept=True, text="You are right.")


@pytest.mark.usefixtures("groups")
def test_an_appeal_is_answered_by_neither_of_two_who_decided_while_there_is_a_third(
    reviewer: User, second: User, owner: User, entry: Submission
) -> None:
    proposal = factories.review(entry, reviewer, Decision.Action.DISQUALIFY, reason="A copy.")
    cases.claim(entry, reviewer=second)
    confirm(proposal, reviewer=second, agreed=True)
    appeal = entry_requests.ask(
        user=owner, kind=Kind.APPEAL, submission=entry, reason="It is ours.", team=entry.team
    )
    third = factories.user("third", is_staff=True, is_superuser=True)
    concluded = {"state": "declined", "answer": "No.", "answered_at": timezone.now()}
    for decider in (reviewer, second):
        with pytest.raises(entry_requests.RequestRefused, match="against your decision"):
            entry_requests.answer(appeal, reviewer=decider, accept=False, text="No.")
        with pytest.raises(DatabaseError, match="concerns who answers"), transaction.atomic():
            EntryRequest.objects.filter(pk=appeal.pk).update(answered_by=decider, **concluded)
    User.objects.filter(pk=third.pk).update(is_active=False)
    # Nobody else is left: better they than nobody, as with decisions that need two.
    entry_requests.answer(appeal, reviewer=second, accept=True, text="You are right.")


def test_what_is_about_a_reference_entry_is_answered_by_its_makers(reviewer: User, stranger: User) -> None:
    made = factories.published(reviewer, kind=Submission.Kind.REFERENCE)
    asked = entry_requests.ask(user=stranger, kind=Kind.OBJECTION, submission=made, reason="Wrong.")
    entry_requests.answer(asked, reviewer=reviewer, accept=False, text="It is as it says.")


def test_an_entry_that_is_handed_over_stands_under_its_team_at_once(
    reviewer: User, owner: User, imported: Submission
) -> None:
    assert snapshots.checked("finance", PUBLIC.number).standings[0].entry.team == "Example team"
    assert not thread_of(imported, reviewer).can_write
    claim = entry_requests.ask(
        user=owner, kind=Kind.CLAIM, submission=imported, reason=REASON, team=personal_team(owner)
    )
    entry_requests.answer(claim, reviewer=reviewer, accept=True, text="Welcome.")
    assert snapshots.checked("finance", PUBLIC.number).standings[0].entry.team == personal_team(owner).name
    imported.refresh_from_db()
    thread = thread_of(imported, owner)
    assert thread.can_write and not thread.can_note
    factories.review(imported, reviewer, Decision.Action.DISQUALIFY, reason="It was never yours.")
    told = Delivery.objects.filter(recipient=owner).latest("created_at")
    assert "It was never yours." in message_of(told).body


def test_an_account_is_closed_whose_team_once_claimed_something(
    reviewer: User, owner: User, imported: Submission
) -> None:
    entry_requests.ask(
        user=owner, kind=Kind.CLAIM, submission=imported, reason=REASON, team=personal_team(owner)
    )
    closing.close(owner)
    entry_requests.answer(EntryRequest.objects.get(), reviewer=reviewer, accept=False, text="No.")


@pytest.mark.usefixtures("groups")
def test_the_database_keeps_answers_from_those_concerned_and_as_they_were_given(
    owner: User, stranger: User, second: User, entry: Submission
) -> None:
    asked = entry_requests.ask(user=stranger, kind=Kind.OBJECTION, submission=entry, reason="Wrong.")
    concluded = {"state": "declined", "answer": "No.", "answered_at": timezone.now()}
    Membership.objects.create(team=entry.team, user=second, role="member")
    rows = EntryRequest.objects.filter(pk=asked.pk)
    for concerned in (owner, stranger, second):
        told = "concerns who answers" if concerned == second else "only a reviewer answers"
        with pytest.raises(DatabaseError, match=told), transaction.atomic():
            rows.update(answered_by=concerned, **concluded)
    with pytest.raises(DatabaseError), transaction.atomic():
        rows.update(reason="Right.")
    with pytest.raises(DatabaseError), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("DELETE FROM review_entryrequest")
    third = factories.user("third", is_staff=True)
    with pytest.raises(entry_requests.RequestRefused, match="Only reviewers"):
        entry_requests.answer(asked, reviewer=third, accept=False, text="No.")
    with pytest.raises(DatabaseError, match="only a reviewer answers"), transaction.atomic():
        rows.update(answered_by=third, **concluded)
    with pytest.raises(DatabaseError), transaction.atomic():
        EntryRequest.objects.create(
            submission=entry, kind=Kind.REPORT, user=stranger, reason="x", answered_by=third, **concluded
        )
    roles.give(third, roles.Role.REVIEWER)
    third = User.objects.get(pk=third.pk)
    entry_requests.answer(asked, reviewer=third, accept=False, text="No.")
    with pytest.raises(DatabaseError), transaction.atomic():
        rows.update(answer="Yes.")


@pytest.mark.usefixtures("groups")
def test_what_concerns_a_reviewer_is_shown_to_the_others_only(
    reviewer: User, second: User, stranger: User, entry: Submission
) -> None:
    """By e-mail neither: nor to editors, who see nothing that is not public."""
    roles.give(factories.user("editor"), roles.Role.EDITOR)
    Membership.objects.create(team=entry.team, user=second, role="member")
    entry_requests.ask(user=stranger, kind=Kind.REPORT, submission=entry, reason="A copy.")
    told = Delivery.objects.filter(notification__event="entry.requested")
    assert list(told.values_list("recipient__username", flat=True)) == ["reviewer"]
    for user, count in ((reviewer, 1), (second, 0)):
        client = Client()
        client.force_login(user)
        assert entry_requests.shown_to(user).count() == count
        assert client.get("/admin/review/entryrequest/").context["cl"].result_count == count


def test_requests_of_a_person_are_limited_to_some_a_day(stranger: User, owner: User, second: User) -> None:
    entries = [factories.published(owner, method=f"method {n}") for n in range(2)]
    for n in range(entry_requests.MOST_A_DAY):
        asked = EntryRequest.objects.create(
            submission=entries[0],
            kind=Kind.REPORT,
            user=stranger,
            reason="x",
            created_at=timezone.now() - timedelta(hours=n),
        )
        entry_requests.answer(asked, reviewer=second, accept=False, text="No.")
    with pytest.raises(entry_requests.RequestRefused, match="limit"):
        entry_requests.ask(user=stranger, kind=Kind.REPORT, submission=entries[1], reason="A copy.")
