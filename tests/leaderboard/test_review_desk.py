"""The review desk's pages: the queue, a case with all that speaks for and against it, and the acts on it."""

from __future__ import annotations

import math
from datetime import timedelta
from decimal import Decimal
from html import unescape
from typing import Any
from uuid import uuid4

import pytest
from django.contrib.auth.models import Permission
from django.core import mail
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from evaluation.inspection.declared import DeclaredScore
from leaderboard.review.marks import Mark
from portal.accounts.models import User
from portal.intake.drafts import Cost
from portal.intake.services import create
from portal.notifications import review_digest
from portal.notifications.mail import message_of
from portal.notifications.models import Delivery, Event, Notification
from portal.notifications.services import set_preferences
from portal.review import cases, digest, waiting
from portal.review.entry_requests import ask
from portal.review.models import Decision, EntryRequest, ReasonTemplate, TwoPersonRule
from portal.review.resemblance.search import run as find_resemblances
from portal.runs.models import Evaluation, Score
from portal.runs.ngrams import Overlap, Share
from portal.submissions.models import Resource, Submission
from portal.submissions.training_data import TRAINING_SET_ALONE
from tests.portal import factories
from workers import deliver

pytestmark = pytest.mark.django_db

CHANGED = (
    '[tool.flwr.app.config.static]\ndataset.name = "flwrlabs/fingpt-sentiment-train"\ndataset.shuffle = false'
)


def copies(made: Submission, count: int) -> None:
    """More cases like one that was evaluated."""
    of_it = {
        f.attname: getattr(made, f.attname) for f in Submission._meta.concrete_fields if not f.primary_key
    }
    submissions = Submission.objects.bulk_create(Submission(**of_it) for _ in range(count))
    evaluation = factories.evaluation_of(made)
    running = {"status": "running", "lease_expires_at": timezone.now(), "protocol": evaluation.protocol}
    evaluations = Evaluation.objects.bulk_create(
        Evaluation(submission=one, base_model=one.base_model, claim_id=uuid4(), **running)
        for one in submissions
    )
    for score in evaluation.scores.all():
        like = {
            f.attname: getattr(score, f.attname) for f in Score._meta.concrete_fields if not f.primary_key
        }
        Score.objects.bulk_create(Score(**like | {"evaluation_id": one.pk}) for one in evaluations)
    Evaluation.objects.filter(status="running").update(
        status="succeeded", claim_id=None, lease_expires_at=None, finished_at=timezone.now()
    )


@pytest.fixture
def suspicious(owner: User, stranger: User) -> Submission:
    """A copy of another team's adapter, with a changed static section and costs that cannot be."""
    factories.published(stranger, method="The original", correct=60)
    return factories.evaluated(
        owner,
        method="Too good",
        correct=97,
        files=factories.files(factories.pyproject(static=CHANGED)),
        costs=(Cost(Resource.Kind.COMMUNICATION, 5e9, Resource.Basis.DECLARED),),
        declared_scores=(DeclaredScore("fpb", Decimal("62.05")), DeclaredScore("tfns", Decimal("96.90"))),
    )


def test_only_reviewers_enter_the_desk(
    as_owner: Client, as_reviewer: Client, suspicious: Submission, settings: Any
) -> None:
    staff = factories.user("operator", is_staff=True)
    as_staff = Client()
    as_staff.force_login(staff)
    for address in ("/review/", f"/review/{suspicious.pk}/", f"/review/{suspicious.pk}/publish/"):
        assert Client().get(address)["Location"] == f"/accounts/login/?next={address}"
        assert as_owner.get(address).status_code == 403
        assert as_staff.get(address).status_code == 403
        assert as_reviewer.get(address).status_code == 200
    staff.user_permissions.add(Permission.objects.get(codename="decide"))
    assert as_staff.get(f"/review/{suspicious.pk}/").status_code == 200
    for page in ("take", "give-back", "undo"):
        assert as_owner.post(f"/review/{suspicious.pk}/{page}/").status_code == 403
    settings.STAFF_SECOND_FACTOR = True
    assert as_reviewer.get("/review/")["Location"] == "/accounts/2fa/"


def test_a_draft_that_was_never_sent_is_no_case(as_reviewer: Client, owner: User) -> None:
    draft = create(factories.draft(owner))
    assert as_reviewer.get(f"/review/{draft.pk}/").status_code == 404


def test_the_queue_says_what_is_special_about_each(as_reviewer: Client, suspicious: Submission) -> None:
    page = as_reviewer.get("/review/")
    (row,) = page.context["page_obj"].object_list
    assert [mark.value for mark in row.marks] == ["static", "resembles", "costs", "leads", "first"]
    assert row.weights.warnings >= 3 and row.average == pytest.approx(0.97)
    assert "Review <span" in page.content.decode() and "</span>1</a>" in page.content.decode().replace(
        " ", ""
    )


def test_the_queue_is_filtered_and_sorted_by_its_address(
    as_reviewer: Client, reviewer: User, suspicious: Submission, owner: User
) -> None:
    plain = factories.evaluated(owner, challenge="medical", method="Plain")
    Submission.objects.filter(pk=plain.pk).update(status_changed_at=timezone.now() - timedelta(days=3))
    cases.claim(plain, reviewer=reviewer)

    def shown(query: str) -> list[str]:
        rows = as_reviewer.get(f"/review/?{query}").context["page_obj"].object_list
        return [row.waiting.method for row in rows]

    assert shown("") == ["Plain", "Too good"] == shown("sort=nonsense&mark=nonsense")
    assert shown("sort=newest") == shown("sort=findings") == ["Too good", "Plain"]
    assert shown("challenge=medical") == shown("holder=me") == ["Plain"]
    assert shown("holder=nobody") == shown("mark=static") == ["Too good"]
    assert shown("show=held") == []
    assert "No case fits" in as_reviewer.get("/review/?challenge=code").content.decode()


def test_fifty_cases_cost_as_many_queries_as_one(as_reviewer: Client, owner: User) -> None:
    def queries(path: str) -> int:
        assert as_reviewer.get(path).status_code == 200  # builds the board once
        with CaptureQueriesContext(connection) as captured:
            as_reviewer.get(path)
        return len(captured)

    made = factories.evaluated(owner)
    pages = ("/review/", f"/review/{made.pk}/")
    few = [queries(path) for path in pages]
    copies(made, 49)
    assert len(as_reviewer.get("/review/").context["page_obj"].object_list) == 50
    assert [queries(path) for path in pages] == few
    assert few[0] <= 30 and few[1] <= 51


def test_a_case_shows_what_speaks_against_it(as_reviewer: Client, suspicious: Submission) -> None:
    page = as_reviewer.get(f"/review/{suspicious.pk}/")
    case, text = page.context["case"], page.content.decode()
    added = next(finding for finding in case.findings if finding.code == "config.static_extra")
    assert added.text == "dataset.shuffle = false" and f'href="#line-{added.line}"' in text
    assert added.kind.explanation in text.replace("&#x27;", "'")
    assert [(s.key, s.differs) for s in case.configuration.static] == [
        ("static.dataset.shuffle", True),
        ("static.dataset.name", False),
    ]
    assert "Rounds" in [setting.label for setting in case.configuration.differing]
    assert Mark.RESEMBLES in case.marks and "It is being compared with all stored adapters" in text
    find_resemblances(until=math.inf)
    text = as_reviewer.get(f"/review/{suspicious.pk}/").content.decode()
    assert "The original" in text and "Likeness is no proof of copying" in text
    assert case.disagreeing and "times higher" in text
    assert [(one.role, one.entry.method) for one in case.comparison.beside] == [
        ("Below on the board", "The original")
    ]
    declared = {line.benchmark.slug: line.is_declared_otherwise for line in case.comparison.lines}
    assert declared == {"fpb": True, "fiqa": False, "tfns": False}
    assert [(row.right, row.wrong) for row in case.answers] == [(97, 3)] * 3
    assert "This is the first that" in text


def test_a_case_says_what_it_was_trained_on_and_what_of_the_test_items_is_in_that(
    as_reviewer: Client, suspicious: Submission, owner: User
) -> None:
    text = unescape(as_reviewer.get(f"/review/{suspicious.pk}/").content.decode())
    assert "Its team\N{RIGHT SINGLE QUOTATION MARK}s statement" in text and TRAINING_SET_ALONE in text
    assert "No report of n-grams" in text
    share = Share("fpb", touched=31, comparable=40, items=50, data_digest="d")
    found = Overlap(rows=1200, ngrams=9000, commitment="c" * 64, shares=(share,))
    made = factories.evaluated(owner, method="Overlapping", overlap=found)
    text = as_reviewer.get(f"/review/{made.pk}/").content.decode()
    assert "31 of 50 items share a 13-gram" in text and "No report of n-grams" not in text


def test_deciding_takes_the_case_and_what_is_public_is_confirmed_first(
    as_reviewer: Client, reviewer: User, suspicious: Submission
) -> None:
    address = f"/review/{suspicious.pk}/publish/"
    asked = as_reviewer.post(address, {"reason": "Checked."})
    assert "Publish this for everybody?" in asked.content.decode()
    suspicious.refresh_from_db()
    assert suspicious.status == "in_review" and cases.claim_of(suspicious) is None
    done = as_reviewer.post(address, {"reason": "Checked.", "confirmed": "1"}, follow=True)
    assert "“Publish” is carried out." in done.content.decode()
    suspicious.refresh_from_db()
    assert suspicious.status == "published"
    decision = Decision.objects.filter(submission=suspicious).get()
    assert (decision.reviewer, decision.reason) == (reviewer, "Checked.")
    told = [one.what for one in done.context["case"].history if one.kind in ("decision", "claim")]
    assert told == ["Publish", "Case taken"]
    assert cases.claim_of(suspicious) is None  # nothing is left to do


def test_a_reason_begins_with_a_template_and_can_be_undone(
    as_reviewer: Client, suspicious: Submission
) -> None:
    ReasonTemplate.objects.all().delete()
    template = ReasonTemplate.objects.create(action="reject", title="Copied", text="It is a copy of …")
    page = as_reviewer.get(f"/review/{suspicious.pk}/reject/?template={template.pk}").content.decode()
    assert ">\nIt is a copy of …</textarea>" in page
    refused = as_reviewer.post(f"/review/{suspicious.pk}/reject/", {"reason": " "})
    assert refused.status_code == 422 and "Give a reason" in refused.content.decode()
    done = as_reviewer.post(f"/review/{suspicious.pk}/reject/", {"reason": "It is a copy."}, follow=True)
    undoable = done.context["undoable"]
    as_reviewer.post(f"/review/{suspicious.pk}/undo/", {"decision": undoable.pk})
    suspicious.refresh_from_db()
    assert suspicious.status == "in_review"


def test_changes_are_asked_for_with_a_deadline(as_reviewer: Client, suspicious: Submission) -> None:
    address = f"/review/{suspicious.pk}/changes/"
    assert 'type="date"' in as_reviewer.get(address).content.decode()
    late = {"reason": "Put the section back.", "due": "2099-01-01"}
    assert as_reviewer.post(address, late).status_code == 422
    due = timezone.now().date() + timedelta(days=7)
    done = as_reviewer.post(address, {"reason": "Put the section back.", "due": str(due)}, follow=True)
    assert done.context["submission"].status == "received"
    assert Submission.objects.get(pk=suspicious.pk).is_returned


def test_a_case_that_another_has_is_not_decided(as_reviewer: Client, suspicious: Submission) -> None:
    other = factories.user("other", is_staff=True, is_superuser=True)
    cases.claim(suspicious, reviewer=other)
    page = as_reviewer.get(f"/review/{suspicious.pk}/").content.decode()
    assert "<strong>other</strong>, until" in page
    answer = as_reviewer.post(f"/review/{suspicious.pk}/reject/", {"reason": "Copied."})
    assert answer.status_code == 422 and "other has the case" in answer.content.decode()
    as_reviewer.post(f"/review/{suspicious.pk}/take/", {"over": "1"})
    claim = cases.claim_of(suspicious)
    assert claim and claim.reviewer.username == "reviewer"
    as_reviewer.post(f"/review/{suspicious.pk}/give-back/")
    assert cases.claim_of(suspicious) is None


def test_nobody_decides_on_the_own_teams_entry(
    as_reviewer: Client, reviewer: User, suspicious: Submission
) -> None:
    suspicious.team.memberships.create(user=reviewer)
    page = as_reviewer.get(f"/review/{suspicious.pk}/")
    assert page.context["offers"] == [] and "Another reviewer decides on it." in page.content.decode()
    answer = as_reviewer.post(f"/review/{suspicious.pk}/reject/", {"reason": "Mine."})
    assert answer.status_code == 422 and "own team" in answer.content.decode()


def test_a_second_reviewer_agrees(as_reviewer: Client, suspicious: Submission) -> None:
    TwoPersonRule.objects.all().delete()
    TwoPersonRule.objects.create(action="publish")
    second = factories.user("second", is_staff=True, is_superuser=True)
    said = as_reviewer.post(f"/review/{suspicious.pk}/publish/", {"confirmed": "1"}, follow=True)
    assert "Another reviewer has to agree" in said.content.decode()
    assert as_reviewer.get("/review/").context["page_obj"].object_list[0].waiting.is_proposed
    client = Client()
    client.force_login(second)
    address = f"/review/{suspicious.pk}/second/"
    assert client.post(address, {"agreed": "no", "reason": ""}).status_code == 422
    assert "It is carried out." in client.post(address, {"agreed": "yes"}, follow=True).content.decode()
    suspicious.refresh_from_db()
    assert suspicious.status == "published"
    history = client.get(f"/review/{suspicious.pk}/").context["case"].history
    assert [one.what for one in history if one.kind == "decision"] == ["Agreed: publish", "Proposed: publish"]
    decided = client.get("/review/?show=decided").context["page_obj"].object_list
    assert decided[0].waiting.id == suspicious.pk  # the newest


def test_an_act_that_is_no_longer_possible_leads_back_to_the_case(as_reviewer: Client, owner: User) -> None:
    made = factories.published(owner)
    assert as_reviewer.get(f"/review/{made.pk}/nonsense/").status_code == 404
    back = as_reviewer.get(f"/review/{made.pk}/reject/", follow=True)
    assert "Reject is not possible now" in back.content.decode()


def test_the_administration_and_the_entrys_page_lead_to_the_case(
    as_reviewer: Client, as_owner: Client, suspicious: Submission
) -> None:
    address = f'href="/review/{suspicious.pk}/"'
    for page in (
        "/admin/submissions/submission/",
        f"/admin/submissions/submission/{suspicious.pk}/change/",
        f"/entries/{suspicious.pk}/",
        f"/submissions/{suspicious.pk}/",
    ):
        assert address in as_reviewer.get(page).content.decode()
    assert "/review/" not in as_owner.get(f"/entries/{suspicious.pk}/").content.decode()
    assert "/review/" not in as_owner.get(f"/submissions/{suspicious.pk}/").content.decode()


def test_reviewers_are_mailed_once_a_day_what_waits(
    as_reviewer: Client, reviewer: User, suspicious: Submission
) -> None:
    other = factories.user("other", is_staff=True, is_superuser=True)
    set_preferences(user=other, muted=[Event.REVIEW_WAITING.value], whole_team=False)
    Delivery.objects.all().delete()
    digest.send()
    digest.send()
    deliver.drain()
    (message,) = mail.outbox
    assert message.to == [reviewer.email] and message.subject == "1 case waits for review"
    assert f"#{suspicious.pk} Too good by" in message.body and "/review/" in message.body
    Notification.objects.update(created_at=timezone.now() - review_digest.PAUSE * 2)
    factories.publish(suspicious)
    Delivery.objects.all().delete()
    digest.send()
    assert not Notification.objects.filter(
        event=Event.REVIEW_WAITING, created_at__gt=timezone.now() - review_digest.PAUSE
    ).exists()


def test_what_people_ask_is_counted_mailed_and_linked_from_the_case(
    as_reviewer: Client, reviewer: User, owner: User
) -> None:
    entry = factories.published(owner, method="Published")
    insider = factories.user("insider", is_staff=True, is_superuser=True)
    entry.team.memberships.create(user=insider)
    asker = factories.user("asker")
    ask(user=asker, kind=EntryRequest.Kind.REPORT, submission=entry, reason="A copy of entry 3.")
    assert (waiting.count_for(reviewer), waiting.count_for(insider)) == (1, 0)
    digest.send()
    (told,) = Delivery.objects.filter(notification__event=Event.REVIEW_WAITING)
    message = message_of(told)
    assert (told.recipient, message.subject) == (reviewer, "1 request waits for review")
    assert f"report about entry {entry.pk}, Published" in message.body and "copy of" not in message.body
    page = as_reviewer.get(f"/review/{entry.pk}/").content.decode()
    assert "Requests about it" in page and "/review/requests/" in page
    assert "Requests about entries (1)" in as_reviewer.get("/review/").content.decode()
    inside = Client()
    inside.force_login(insider)
    assert "Requests about it" not in inside.get(f"/review/{entry.pk}/").content.decode()


def test_the_next_case_is_the_one_behind_that_the_reviewer_can_decide(
    as_reviewer: Client, reviewer: User, owner: User
) -> None:
    made = [factories.evaluated(owner, method=name) for name in ("first", "second", "third")]
    own = factories.evaluated(factories.user("colleague"), method="own")
    own.team.memberships.create(user=reviewer)
    other = factories.user("other", is_staff=True, is_superuser=True)
    cases.claim(made[1], reviewer=other)
    ways = {case.pk: as_reviewer.get(f"/review/{case.pk}/").context["next"] for case in made}
    assert ways == {made[0].pk: made[2], made[1].pk: made[2], made[2].pk: made[0]}


def test_a_reviewer_turns_the_daily_mail_off(as_reviewer: Client, as_owner: Client, reviewer: User) -> None:
    assert "cases wait for review" not in as_owner.get("/accounts/notifications/").content.decode()
    assert "cases wait for review" in as_reviewer.get("/accounts/notifications/").content.decode()
    as_reviewer.post("/accounts/notifications/", {"whole_team": "on"})
    reviewer.refresh_from_db()
    assert Event.REVIEW_WAITING.value in reviewer.email_preferences.muted
