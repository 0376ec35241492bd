"""Notifications: what is told of a submission, to whom, and the pages on which people choose it."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.test import Client

from evaluation.errors import Fault
from portal.accounts import teams
from portal.accounts.models import Membership, User, personal_team
from portal.discussion.services import post
from portal.intake.services import create, withdraw
from portal.notifications import services
from portal.notifications.models import (
    E_MAIL_EVENTS,
    REQUEST_EVENTS,
    Delivery,
    EmailPreferences,
    Event,
    Notification,
    Webhook,
)
from portal.notifications.services import NotificationRefused, submission_changed
from portal.outages.causes import Failure
from portal.review.entry_requests import ask
from portal.review.models import Decision, EntryRequest
from portal.runs import services as runs
from portal.submissions.models import HubFetch, Submission
from tests.portal import factories

pytestmark = pytest.mark.django_db

URL = "https://example.org/hook"
ALL = [event.value for event in services.SUBMISSION_EVENTS]


@pytest.fixture
def webhook(owner: User) -> Webhook:
    return services.add_webhook(team=personal_team(owner), url=URL, events=ALL)[0]


def told() -> list[str]:
    return list(Notification.objects.order_by("created_at").values_list("event", flat=True))


def written_to() -> set[str]:
    return set(Delivery.objects.exclude(recipient=None).values_list("recipient__username", flat=True))


def test_a_webhook_hears_of_every_step(owner: User, webhook: Webhook, reviewer: User) -> None:
    made = factories.published(owner)
    factories.review(made, reviewer, Decision.Action.DISQUALIFY, reason="Copied.")
    assert told() == [
        "submission.queued",
        "submission.evaluating",
        "submission.in_review",
        "submission.published",
        "submission.disqualified",
    ]
    payload = Notification.objects.latest("created_at").payload
    assert payload["type"] == "submission.disqualified"
    assert payload["data"]["submission"] == {
        "id": made.pk,
        "status": "disqualified",
        "challenge": "finance",
        "method": "FedAvg",
        "base_model": made.base_model.hub_id,
        "team": {"id": made.team_id, "name": "owner"},
        "page": f"http://127.0.0.1:8000/submissions/{made.pk}/",
        "api": f"http://127.0.0.1:8000/api/v1/submissions/{made.pk}/",
        "reason": "Copied.",
    }


def test_a_failure_says_why(owner: User, webhook: Webhook) -> None:
    factories.submission(owner)
    evaluation = runs.claim(worker="test")
    assert evaluation
    runs.fail_attempt(evaluation, Failure("adapter", "It does not fit.", Fault.INPUT))
    payload = Notification.objects.get(event="submission.failed").payload
    assert payload["data"]["submission"]["error"] == {"code": "adapter", "message": "It does not fit."}


def test_a_withdrawal_is_told(owner: User, webhook: Webhook) -> None:
    withdraw(factories.submission(owner))
    assert told() == ["submission.queued", "submission.withdrawn"]


def test_a_webhook_hears_only_of_its_events_and_its_team(owner: User, stranger: User) -> None:
    services.add_webhook(team=personal_team(owner), url=URL, events=["submission.in_review"])
    services.add_webhook(team=personal_team(stranger), url=URL, events=ALL)
    off = services.add_webhook(team=personal_team(owner), url=URL, events=ALL)[0]
    services.change_webhook(off, url=URL, events=ALL, active=False)
    factories.evaluated(owner)
    assert list(
        Delivery.objects.exclude(webhook=None).values_list("notification__event", "webhook__team__name")
    ) == [("submission.in_review", "owner")]


def test_nothing_is_stored_where_nobody_listens(owner: User) -> None:
    services.set_preferences(user=owner, muted=ALL, whole_team=True)
    factories.evaluated(owner)
    assert not Notification.objects.exists()


def test_what_is_rolled_back_is_not_told(owner: User, webhook: Webhook) -> None:
    made = factories.submission(owner)
    Notification.objects.all().delete()
    evaluation = runs.claim(worker="test")
    assert evaluation
    Notification.objects.all().delete()
    with pytest.raises(ValueError, match="without scores"):
        runs.succeed(evaluation, provenance={})
    made.refresh_from_db()
    assert made.status == "evaluating" and not Notification.objects.exists()


def test_the_submitter_gets_e_mails_about_ends_only(owner: User) -> None:
    factories.published(owner)
    assert told() == ["submission.in_review", "submission.published"]
    assert written_to() == {"owner"}


def test_e_mail_goes_to_members_as_they_chose(owner: User) -> None:
    team = teams.found(owner=owner, name="Alpine group")
    for name in ("follower", "quiet", "former", "disabled"):
        Membership.objects.create(team=team, user=factories.user(name))
    for name in ("follower", "former", "disabled"):
        services.set_preferences(user=User.objects.get(username=name), muted=[], whole_team=True)
    User.objects.filter(username="disabled").update(is_active=False)
    teams.leave(team=team, user=User.objects.get(username="former"))
    factories.evaluated(owner, team=team)
    assert written_to() == {"owner", "follower"}


def test_a_submitter_who_left_the_team_hears_nothing_more(owner: User, stranger: User) -> None:
    team = teams.found(owner=stranger, name="Alpine group")
    Membership.objects.create(team=team, user=owner)
    factories.submission(owner, team=team)
    teams.leave(team=team, user=owner)
    evaluation = runs.claim(worker="test")
    assert evaluation
    runs.fail_attempt(evaluation, Failure("adapter", "It does not fit.", Fault.INPUT))
    assert written_to() == set()


def test_a_draft_is_told_of_only_when_its_files_came_from_the_hub(owner: User) -> None:
    made = create(factories.draft(owner, files=None))
    assert made.status == "received" and made.findings.filter(severity="error").exists()
    submission_changed(made)
    assert told() == []
    fetch = HubFetch.objects.create(submission=made, repository="a/b", status=HubFetch.Status.WAITING)
    submission_changed(made)
    assert told() == []
    HubFetch.objects.filter(pk=fetch.pk).update(status=HubFetch.Status.FAILED)
    submission_changed(made)
    assert told() == ["submission.needs_changes"]


def test_the_choice_of_e_mails_is_kept(as_owner: Client, owner: User) -> None:
    page = as_owner.get("/accounts/notifications/").content.decode()
    assert page.count(" checked") == len(E_MAIL_EVENTS) + len(REQUEST_EVENTS)
    as_owner.post("/accounts/notifications/", {"events": ["submission.published"], "whole_team": "on"})
    kept = EmailPreferences.objects.get(user=owner)
    assert Event.PUBLISHED not in kept.muted and Event.FAILED in kept.muted and kept.whole_team
    as_owner.post("/accounts/notifications/", {})
    assert as_owner.get("/accounts/notifications/").content.decode().count(" checked") == 0


def test_mails_about_requests_messages_and_decisions_are_turned_off_like_others(
    as_owner: Client, as_reviewer: Client, owner: User, stranger: User, reviewer: User
) -> None:
    made = factories.published(owner)
    Delivery.objects.all().delete()
    for client in (as_owner, as_reviewer):
        client.post("/accounts/notifications/", {"whole_team": "on"})
    ask(kind=EntryRequest.Kind.OBJECTION, submission=made, user=stranger, reason="It knows the test items.")
    post(submission=made, author=owner, text="It does not.")
    assert not Delivery.objects.filter(recipient__in=[owner, reviewer]).exists()
    for client in (as_owner, as_reviewer):
        wanted = {"requests": ["entry.objected"], "desk": ["entry.requested"], "events": []}
        client.post("/accounts/notifications/", wanted)
    another = factories.user("another")
    ask(kind=EntryRequest.Kind.OBJECTION, submission=made, user=another, reason="It does know them.")
    told = Delivery.objects.values_list("recipient__username", "notification__event")
    assert sorted(told) == [("owner", "entry.objected"), ("reviewer", "entry.requested")]


def test_a_webhook_is_made_and_its_secret_shown_once(as_owner: Client, owner: User) -> None:
    body = {"team": personal_team(owner).pk, "url": URL, "events": ALL[:2]}
    page = as_owner.post("/accounts/webhooks/new/", body).content.decode()
    secret = re.search(r"whsec_[\w+/=]{40,}", page)
    made = Webhook.objects.get()
    assert secret and made.events == sorted(ALL[:2])
    assert secret[0].encode() not in bytes(made.secret)
    assert "whsec_" not in as_owner.get(f"/accounts/webhooks/{made.pk}/").content.decode()


@pytest.mark.parametrize(
    "wrong",
    [{"url": "http://example.org/"}, {"url": "https://127.0.0.1/"}, {"events": []}, {"events": ["x"]}],
)
def test_a_wrong_webhook_is_not_made(as_owner: Client, owner: User, wrong: dict[str, Any]) -> None:
    body = {"team": personal_team(owner).pk, "url": URL, "events": ALL, **wrong}
    assert as_owner.post("/accounts/webhooks/new/", body).status_code == 422
    assert not Webhook.objects.exists()


def test_a_webhook_is_made_only_for_a_team_that_one_owns(as_stranger: Client, stranger: User) -> None:
    others = teams.found(owner=factories.user("other"), name="Alpine group")
    Membership.objects.create(team=others, user=stranger)
    body = {"team": others.pk, "url": URL, "events": ALL}
    assert as_stranger.post("/accounts/webhooks/new/", body).status_code == 422
    assert not Webhook.objects.exists()


def test_a_team_has_a_limited_number_of_webhooks(as_owner: Client, owner: User) -> None:
    team = personal_team(owner)
    for _ in range(services.MOST_WEBHOOKS):
        services.add_webhook(team=team, url=URL, events=ALL)
    response = as_owner.post("/accounts/webhooks/new/", {"team": team.pk, "url": URL, "events": ALL})
    assert response.status_code == 422 and "limit" in response.content.decode()


def delivery_pages(delivery: Delivery) -> list[tuple[str, str]]:
    own = f"/accounts/webhooks/{delivery.webhook_id}/"
    one = f"/accounts/deliveries/{delivery.pk}/"
    posts = [f"{own}test/", f"{own}secret/", f"{own}delete/", f"{one}redeliver/"]
    gets = [own, f"{own}delete/", one]
    return [*(("get", path) for path in gets), *(("post", path) for path in posts)]


def test_only_owners_of_the_team_see_and_change_a_webhook(
    as_stranger: Client, stranger: User, client: Client, webhook: Webhook
) -> None:
    delivery = services.send_test(webhook)
    Membership.objects.create(team=webhook.team, user=stranger)  # a member is not enough
    for method, path in delivery_pages(delivery):
        assert getattr(as_stranger, method)(path).status_code == 404, path
        assert getattr(client, method)(path).status_code == 302, path
    assert URL not in as_stranger.get("/accounts/notifications/").content.decode()
    assert Webhook.objects.get() == webhook


def test_an_owner_changes_tests_and_deletes_a_webhook(as_owner: Client, webhook: Webhook) -> None:
    own = f"/accounts/webhooks/{webhook.pk}/"
    as_owner.post(own, {"url": "https://example.org/other", "events": ALL[:1], "active": "on"})
    webhook.refresh_from_db()
    assert webhook.url == "https://example.org/other" and webhook.events == ALL[:1]
    as_owner.post(f"{own}test/")
    delivery = Delivery.objects.get()
    assert delivery.notification.event == "webhook.test"
    assert "webhook.test" in as_owner.get(f"/accounts/deliveries/{delivery.pk}/").content.decode()
    before = bytes(webhook.secret)
    assert "whsec_" in as_owner.post(f"{own}secret/").content.decode()
    webhook.refresh_from_db()
    assert bytes(webhook.secret) != before
    assert "can't be undone" in as_owner.get(f"{own}delete/").content.decode().replace("cannot", "can't")
    as_owner.post(f"{own}delete/")
    assert not Webhook.objects.exists() and not Delivery.objects.exists()


def test_a_delivery_is_sent_again_under_the_same_id(as_owner: Client, webhook: Webhook) -> None:
    delivery = services.send_test(webhook)
    again = as_owner.post(f"/accounts/deliveries/{delivery.pk}/redeliver/")["Location"]
    repeated = Delivery.objects.exclude(pk=delivery.pk).get()
    assert again == f"/accounts/deliveries/{repeated.pk}/"
    assert repeated.notification.message_id == delivery.notification.message_id


def test_owners_cannot_have_an_address_called_without_end(webhook: Webhook) -> None:
    for _ in range(services.MOST_MANUAL):
        services.send_test(webhook)
    with pytest.raises(NotificationRefused):
        services.send_test(webhook)


def test_a_webhook_that_is_turned_off_gives_up_what_waits(webhook: Webhook) -> None:
    delivery = services.send_test(webhook)
    services.change_webhook(webhook, url=URL, events=ALL, active=False)
    delivery.refresh_from_db()
    assert delivery.status == "failed" and "turned off" in delivery.detail


def test_a_disabled_webhook_is_told_to_the_owners_of_its_team(webhook: Webhook, owner: User) -> None:
    Membership.objects.create(team=webhook.team, user=factories.user("member"))
    services.disable(webhook, because="Nothing was accepted for a day.")
    services.disable(webhook, because="Twice is one time too often.")
    webhook.refresh_from_db()
    assert not webhook.active and webhook.disabled_because == "Nothing was accepted for a day."
    assert written_to() == {"owner"} and told() == ["webhook.disabled"]
    services.change_webhook(webhook, url=URL, events=ALL, active=True)
    assert Webhook.objects.filter(active=True, disabled_because="", failing_since=None).exists()


def test_deleting_a_draft_takes_its_notifications_along(owner: User, webhook: Webhook) -> None:
    made = create(factories.draft(owner))
    Notification.objects.create(event=Event.NEEDS_CHANGES, team=made.team, submission=made, body="{}")
    Submission.objects.filter(pk=made.pk).delete()
    assert not Notification.objects.exists()
