"""Deliveries: signed, to public addresses alone, tried again for a day, then given up."""

from __future__ import annotations

import json
import random
import socket
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpcore
import pytest
import standardwebhooks
from django.core import mail
from django.utils import timezone

from evaluation.errors import Fault
from portal.accounts.models import User, personal_team
from portal.notifications import egress, queue, services, signatures
from portal.notifications.mail import message_of
from portal.notifications.models import Delivery, Event, Notification, Webhook
from portal.outages.causes import Failure
from portal.runs import services as runs
from tests.portal import factories
from tests.portal.conftest import storage
from tests.workers.conftest import Start
from tests.workers.receiver import Receiver
from workers import deliver

__all__ = ["storage"]

pytestmark = pytest.mark.django_db

ALL = [event.value for event in services.SUBMISSION_EVENTS]


@pytest.fixture
def owner(db: None) -> User:
    return factories.user("owner")


@pytest.fixture
def receiver(settings: Any) -> Iterator[Receiver]:
    settings.WEBHOOKS_TO_LOOPBACK = True
    with Receiver() as receiver:
        yield receiver


@pytest.fixture
def webhook(owner: User, receiver: Receiver) -> Webhook:
    return services.add_webhook(team=personal_team(owner), url=receiver.url, events=ALL)[0]


def attempt(delivery: Delivery) -> Delivery:
    """One attempt, now, whenever it would be due."""
    Delivery.objects.filter(pk=delivery.pk).update(next_attempt_at=timezone.now())
    deliver.drain()
    delivery.refresh_from_db()
    return delivery


def test_what_happens_arrives_signed(owner: User, webhook: Webhook, receiver: Receiver) -> None:
    made = factories.submission(owner)
    deliver.drain()
    [call] = receiver.received
    assert json.loads(call.body)["data"]["submission"]["id"] == made.pk
    assert call.headers["content-type"] == "application/json"
    sent_at = datetime.fromtimestamp(int(call.headers["webhook-timestamp"]), tz=UTC)
    assert abs(timezone.now() - sent_at) < timedelta(minutes=1)
    secret = signatures.decrypt(webhook.secret)
    assert standardwebhooks.Webhook(secret).verify(call.body, call.headers)["type"] == "submission.queued"
    with pytest.raises(standardwebhooks.WebhookVerificationError):
        standardwebhooks.Webhook(secret).verify(call.body + b" ", call.headers)
    delivery = Delivery.objects.get()
    assert (delivery.status, delivery.response_code, delivery.attempts) == ("delivered", 200, 1)
    assert delivery.seconds is not None and delivery.claim_id is None


def test_a_retry_has_the_same_id_and_body_and_comes_later_each_time(
    webhook: Webhook, receiver: Receiver
) -> None:
    receiver.code = 500
    delivery = services.send_test(webhook)
    for plan in queue.DELAYS:
        before = timezone.now()
        attempt(delivery)
        assert delivery.status == "waiting" and delivery.response_code == 500
        assert delivery.next_attempt_at > before + 0.75 * plan
        assert delivery.next_attempt_at < timezone.now() + 1.25 * plan
    assert attempt(delivery).status == "failed" and delivery.attempts == 8
    assert len({(call.headers["webhook-id"], call.body) for call in receiver.received}) == 1
    assert queue.claim() is None


def test_what_is_not_due_waits(webhook: Webhook, receiver: Receiver) -> None:
    services.send_test(webhook)
    Delivery.objects.update(next_attempt_at=timezone.now() + timedelta(seconds=30))
    assert not queue.work_is_due()
    deliver.drain()
    assert not receiver.received


def test_a_success_ends_the_memory_of_failures(webhook: Webhook, receiver: Receiver) -> None:
    receiver.code = 503
    delivery = services.send_test(webhook)
    attempt(delivery)
    webhook.refresh_from_db()
    assert webhook.failing_since
    receiver.code = 204
    assert attempt(delivery).status == "delivered"
    webhook.refresh_from_db()
    assert webhook.failing_since is None


def test_a_webhook_that_took_nothing_for_a_day_is_disabled_with_an_e_mail(
    webhook: Webhook, receiver: Receiver
) -> None:
    receiver.code = 500
    delivery, waiting = services.send_test(webhook), services.send_test(webhook)
    Delivery.objects.filter(pk=waiting.pk).update(next_attempt_at=timezone.now() + timedelta(hours=1))
    Delivery.objects.filter(pk=delivery.pk).update(attempts=len(queue.DELAYS))
    Webhook.objects.update(failing_since=timezone.now() - timedelta(hours=20))
    attempt(delivery)
    webhook.refresh_from_db()
    waiting.refresh_from_db()
    assert not webhook.active and "500" in webhook.disabled_because
    assert delivery.status == waiting.status == "failed"
    [message] = mail.outbox
    assert message.to == ["owner@example.org"] and webhook.url in str(message.body)


def test_one_lost_message_does_not_disable_a_webhook_that_works(webhook: Webhook, receiver: Receiver) -> None:
    receiver.code = 500
    delivery = services.send_test(webhook)
    Delivery.objects.update(attempts=len(queue.DELAYS))
    assert attempt(delivery).status == "failed"
    webhook.refresh_from_db()
    assert webhook.active and not mail.outbox


def test_410_says_that_it_is_gone_for_good(webhook: Webhook, receiver: Receiver) -> None:
    receiver.code = 410
    assert attempt(services.send_test(webhook)).status == "failed"
    webhook.refresh_from_db()
    assert not webhook.active and "410" in webhook.disabled_because


def test_a_receiver_may_ask_for_a_pause(webhook: Webhook, receiver: Receiver) -> None:
    receiver.code, receiver.headers = 429, {"Retry-After": "3600"}
    delivery = attempt(services.send_test(webhook))
    assert timedelta(minutes=59) < delivery.next_attempt_at - timezone.now() <= timedelta(hours=1)
    receiver.headers = {"Retry-After": "9" * 30}
    attempt(delivery)
    assert delivery.next_attempt_at - timezone.now() <= queue.LONGEST_PAUSE


def test_a_redirect_is_not_followed(webhook: Webhook, receiver: Receiver) -> None:
    receiver.code, receiver.headers = 307, {"Location": receiver.url + "/inside"}
    delivery = attempt(services.send_test(webhook))
    assert delivery.status == "waiting" and "redirect" in delivery.detail
    assert [call.path for call in receiver.received] == ["/hook"]


def test_no_proxy_of_the_environment_is_used(
    webhook: Webhook, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Receiver() as proxy:
        for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY", "all_proxy"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
        attempt(services.send_test(webhook))
        assert receiver.received and not proxy.received


def test_without_the_setting_loopback_and_http_are_refused(
    webhook: Webhook, receiver: Receiver, settings: Any
) -> None:
    settings.WEBHOOKS_TO_LOOPBACK = False
    for url in (receiver.url, f"https://127.0.0.1:{receiver.port}/"):
        Webhook.objects.update(url=url)
        delivery = attempt(services.send_test(webhook))
        assert delivery.status == "failed" and delivery.attempts == 1
    assert not receiver.received


@pytest.mark.parametrize("address", ["10.0.0.1", "169.254.169.254", "::1", "::ffff:127.0.0.1", "fd00::1"])
def test_a_public_name_that_leads_inside_is_refused(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    answers(monkeypatch, [["93.184.216.34", address]])
    with pytest.raises(egress.EgressRefusedError, match="does not lead to public addresses"):
        egress.post("https://example.org/", body=b"", headers={})


def test_the_connection_goes_to_the_address_that_was_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    # A name service that changes its answer: public when asked first, inside when asked again.
    asked = answers(monkeypatch, [["93.184.216.34"], ["127.0.0.1"]])
    connected: list[tuple[str, int]] = []

    def connect(self: object, host: str, port: int, **_: object) -> httpcore.NetworkStream:
        connected.append((host, port))
        raise httpcore.ConnectError("no network in tests")

    monkeypatch.setattr(httpcore.SyncBackend, "connect_tcp", connect)
    with pytest.raises(egress.EgressFailedError):
        egress.post("https://example.org/", body=b"", headers={})
    assert connected == [("93.184.216.34", 443)] and asked == ["example.org"]


def answers(monkeypatch: pytest.MonkeyPatch, lists: list[list[str]]) -> list[str]:
    """Make the name service give these addresses, one list a question; return the names asked for."""
    asked: list[str] = []

    def getaddrinfo(host: str, port: int, **_: object) -> list[tuple[Any, ...]]:
        asked.append(host)
        addresses = lists[min(len(asked), len(lists)) - 1]
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in addresses]

    monkeypatch.setattr(egress.socket, "getaddrinfo", getaddrinfo)
    return asked


@pytest.mark.parametrize("host", ["2130706433", "0x7f.1", "127.1", "localhost"])
def test_other_spellings_of_loopback_are_refused(host: str) -> None:
    with pytest.raises(egress.EgressRefusedError):
        egress.post(f"https://{host}/", body=b"", headers={})


def test_silence_and_dripping_end_at_the_deadline(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(egress, "SECONDS", 0.4)
    for silence, raw, drip in ((2.0, None, 0.0), (0.0, b"HTTP/1.1 200 OK\r\nX: " + b"x" * 500, 0.05)):
        receiver.silence, receiver.raw, receiver.drip = silence, raw, drip
        with pytest.raises(egress.EgressFailedError, match="within"):
            egress.post(receiver.url, body=b"{}", headers={}, to_loopback=True)


def test_an_endless_body_is_not_read(receiver: Receiver) -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 9999999\r\n\r\n"
    receiver.raw, receiver.drip = head + b"x" * 1_000_000, 0.005  # for longer than anybody is waited for
    assert egress.post(receiver.url, body=b"{}", headers={}, to_loopback=True).code == 200


@pytest.mark.parametrize("raw", [b"SSH-2.0-OpenSSH\r\n", b"\x00" * 40, b""])
def test_what_is_no_http_is_a_failure(receiver: Receiver, raw: bytes) -> None:
    receiver.raw = raw
    with pytest.raises(egress.EgressFailedError):
        egress.post(receiver.url, body=b"{}", headers={}, to_loopback=True)


def test_https_needs_a_certificate_that_somebody_vouches_for(receiver: Receiver) -> None:
    # Nothing there speaks TLS at all: a plain answer must not pass for one.
    with pytest.raises(egress.EgressFailedError):
        egress.post(f"https://127.0.0.1:{receiver.port}/", body=b"", headers={}, to_loopback=True)


def test_a_secret_of_another_key_is_said_to_be_lost(webhook: Webhook, settings: Any) -> None:
    settings.SECRET_KEY = "another"
    delivery = attempt(services.send_test(webhook))
    assert delivery.status == "failed" and "Make a new one" in delivery.detail


def test_a_webhook_has_one_delivery_at_a_time(webhook: Webhook, owner: User) -> None:
    first, second = services.send_test(webhook), services.send_test(webhook)
    assert queue.claim() == first
    assert queue.claim() is None
    queue.succeed(Delivery.objects.get(pk=first.pk), seconds=0.1, code=200)
    assert queue.claim() == second


def test_what_a_lost_worker_had_is_sent_by_another(webhook: Webhook) -> None:
    services.send_test(webhook)
    lost = queue.claim()
    assert lost
    queue.release_expired()
    assert queue.claim() is None
    Delivery.objects.update(lease_expires_at=timezone.now() - timedelta(seconds=1))
    queue.release_expired()
    taken_over = queue.claim()
    assert taken_over and taken_over.pk == lost.pk
    queue.succeed(lost, seconds=1.0, code=200)
    lost.refresh_from_db()
    assert lost.status == "running" and lost.claim_id == taken_over.claim_id


def test_a_delivery_that_costs_every_worker_its_life_is_given_up(webhook: Webhook) -> None:
    services.send_test(webhook)
    for _ in range(len(queue.DELAYS) + 1):
        assert queue.claim()
        Delivery.objects.update(lease_expires_at=timezone.now() - timedelta(seconds=1))
        queue.release_expired()
    assert queue.claim() is None and Delivery.objects.get().status == "failed"


def test_an_e_mail_is_plain_text_with_a_link_and_a_way_out(owner: User) -> None:
    made = factories.evaluated(owner, method='Method "<b>" & co.\r\nBcc: other@example.org')
    deliver.drain()
    [message] = mail.outbox
    assert message.to == ["owner@example.org"] and not message.bcc
    assert "\n" not in message.subject and "Bcc: other" in message.subject
    text = str(message.body)
    assert '"<b>" & co.' in text
    assert f"http://127.0.0.1:8000/submissions/{made.pk}/" in text
    assert "http://127.0.0.1:8000/accounts/notifications/" in text
    assert message.extra_headers["Auto-Submitted"] == "auto-generated"


@pytest.mark.parametrize("event", [Event.NEEDS_CHANGES, Event.FAILED, Event.PUBLISHED, Event.REJECTED])
def test_every_kind_of_e_mail_says_what_happened(owner: User, event: Event) -> None:
    made = factories.submission(owner)
    facts = {"method": made.method, "reason": "Because of this.", "team": {"name": "owner"}}
    told = Notification.objects.create(
        event=event, team=made.team, submission=made, body=json.dumps({"data": {"submission": facts}})
    )
    message = message_of(Delivery(notification=told, recipient=owner))
    assert event.label in message.subject
    first = str(message.body).splitlines()[0]
    assert "FedAvg" in first and "Because of this." in str(message.body)


def test_a_mail_server_that_is_away_is_asked_again(owner: User, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(delivery: Delivery) -> None:
        raise ConnectionRefusedError("no mail server here")

    factories.submission(owner)
    evaluation = runs.claim(worker="test")
    assert evaluation
    runs.fail_attempt(evaluation, Failure("adapter", "It does not fit.", Fault.INPUT))
    monkeypatch.setattr(deliver.mail, "send", refuse)
    deliver.drain()
    delivery = Delivery.objects.get()
    assert delivery.status == "waiting" and "no mail server here" in delivery.detail
    monkeypatch.undo()
    assert attempt(delivery).status == "delivered" and len(mail.outbox) == 1


def test_old_notifications_are_deleted_once_they_are_through(webhook: Webhook) -> None:
    done, waiting, recent = (services.send_test(webhook) for _ in range(3))
    Delivery.objects.filter(pk__in=[done.pk, recent.pk]).update(status="delivered")
    old = Notification.objects.exclude(pk=recent.notification_id)
    old.update(created_at=timezone.now() - queue.KEPT - timedelta(days=1))
    assert queue.expire() == 1
    assert set(Delivery.objects.all()) == {waiting, recent}


def test_the_jitter_stays_within_its_bounds() -> None:
    tried = random.Random(0).randint(1, len(queue.DELAYS))
    waits = {queue._delay(tried) / queue.DELAYS[tried - 1] for _ in range(50)}
    assert len(waits) > 40 and all(0.8 <= wait <= 1.2 for wait in waits)


@pytest.mark.django_db(transaction=True)
def test_threads_deliver_everything_that_is_due(owner: User, receiver: Receiver) -> None:
    team = personal_team(owner)
    hooks = [services.add_webhook(team=team, url=receiver.url, events=ALL)[0] for _ in range(5)]
    for hook in hooks:
        services.send_test(hook)
        services.send_test(hook)
    deliver.run_due()
    assert len(receiver.received) == 10
    assert set(Delivery.objects.values_list("status", "attempts")) == {("delivered", 1)}


@pytest.mark.django_db(transaction=True)
def test_a_worker_delivers_as_soon_as_something_happened(
    owner: User, receiver: Receiver, start_worker: Start
) -> None:
    services.add_webhook(team=personal_team(owner), url=receiver.url, events=ALL)
    start_worker(WEBHOOKS_TO_LOOPBACK="1")
    factories.submission(owner)
    deadline = time.monotonic() + 60
    while "submission.queued" not in _types(receiver) and time.monotonic() < deadline:
        time.sleep(0.2)
    assert "submission.queued" in _types(receiver), "messages may come in another order"


def _types(receiver: Receiver) -> list[str]:
    return [json.loads(message.body)["type"] for message in receiver.received]
