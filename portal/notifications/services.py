"""What is told to whom: a submission's changes of status, and what owners do with their team's webhooks."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db import transaction
from django.urls import reverse
from django.utils import timezone

from portal.accounts.models import Membership, Team, User
from portal.notifications import signatures
from portal.notifications.models import (
    E_MAIL_EVENTS,
    SUBMISSION_EVENTS,
    Delivery,
    EmailPreferences,
    Event,
    Notification,
    Webhook,
)
from portal.queues import wake_notifiers
from portal.submissions.models import BaseModelRequest, HubFetch, Submission

MOST_WEBHOOKS = 10
"""Of a team."""
MOST_MANUAL = 10
MANUAL_SPAN = timedelta(minutes=10)

Status = Submission.Status

_EVENTS = {
    Status.QUEUED: Event.QUEUED,
    Status.EVALUATING: Event.EVALUATING,
    Status.TRIED: Event.TRIED,
    Status.IN_REVIEW: Event.IN_REVIEW,
    Status.PUBLISHED: Event.PUBLISHED,
    Status.INVALID: Event.NEEDS_CHANGES,
    Status.FAILED: Event.FAILED,
    Status.REJECTED: Event.REJECTED,
    Status.WITHDRAWN: Event.WITHDRAWN,
    Status.DISQUALIFIED: Event.DISQUALIFIED,
}


class NotificationRefused(Exception):
    """The act is not possible; the text says to the user why."""


@transaction.atomic
def submission_changed(submission: Submission, *, event: Event | None = None, **facts: str) -> None:
    """Tell a submission's new status, or another `event`, to the webhooks of its team and by e-mail.

    `facts` go with what is told of the submission, as its reason. Call it in the transaction that changes the
    status: then both happen or neither, and the messages leave once it is committed. The row is read anew. A
    draft is told of only when its files came from the hub and something stands against them: its team was not
    there to see it.
    """
    current = Submission.objects.select_related("team", "base_model").get(pk=submission.pk)
    if event is None and current.status == Status.RECEIVED:
        event = Event.NEEDS_CHANGES if _is_draft_to_mend(current) else None
    elif event is None:
        event = _EVENTS[Status(current.status)]
    if event is None:
        return
    webhooks = list(current.team.webhooks.filter(active=True, events__contains=[event.value]))
    recipients = _recipients(current, event)
    if webhooks or recipients:
        payload = payload_of(event, {"submission": {**_facts(current), **facts}})
        tell(event, current.team, payload, webhooks, recipients, submission=current)


def preferences_of(user: User) -> EmailPreferences:
    """What a user chose, or the choice that everybody has at first."""
    return EmailPreferences.objects.filter(user=user).first() or EmailPreferences(user=user)


def set_preferences(*, user: User, muted: Iterable[str], whole_team: bool) -> None:
    EmailPreferences.objects.update_or_create(
        user=user, defaults={"muted": sorted(muted), "whole_team": whole_team}
    )


@transaction.atomic
def add_webhook(*, team: Team, url: str, events: Iterable[str]) -> tuple[Webhook, str]:
    """Make a webhook and return it with its secret, which is not shown again.

    Raises NotificationRefused when the team has too many.
    """
    Team.objects.select_for_update().get(pk=team.pk)
    if team.webhooks.count() >= MOST_WEBHOOKS:
        raise NotificationRefused(f"The team has {MOST_WEBHOOKS} webhooks, which is the limit.")
    secret = signatures.new_secret()
    webhook = Webhook.objects.create(
        team=team, url=url, events=sorted(events), secret=signatures.encrypt(secret)
    )
    return webhook, secret


@transaction.atomic
def change_webhook(webhook: Webhook, *, url: str, events: Iterable[str], active: bool) -> None:
    """Turning it on again forgets its failures; turning it off gives up what is on its way."""
    current = Webhook.objects.select_for_update().get(pk=webhook.pk)
    if active and not current.active:
        current.failing_since, current.disabled_because = None, ""
    current.url, current.events, current.active = url, sorted(events), active
    current.save()
    if not active:
        _give_up(current)


def renew_secret(webhook: Webhook) -> str:
    """Replace the secret at once and return the new one; what waits is signed with it too."""
    secret = signatures.new_secret()
    Webhook.objects.filter(pk=webhook.pk).update(secret=signatures.encrypt(secret))
    return secret


@transaction.atomic
def disable(webhook: Webhook, *, because: str) -> None:
    """Turn off a webhook that does not work, and tell its team's owners by e-mail."""
    turned_off = Webhook.objects.filter(pk=webhook.pk, active=True).update(
        active=False, disabled_because=because[:300]
    )
    if not turned_off:
        return
    _give_up(webhook)
    owners = User.objects.filter(
        memberships__team=webhook.team_id, memberships__role=Membership.Role.OWNER, is_active=True
    ).exclude(email="")
    facts = {"id": webhook.pk, "url": webhook.url, "because": because, "page": _page(webhook)}
    tell(Event.DISABLED, webhook.team, payload_of(Event.DISABLED, {"webhook": facts}), [], list(owners))


@transaction.atomic
def base_model_requested(request: BaseModelRequest, team: Team) -> None:
    """Tell the operators by e-mail what base model somebody of the team asks for."""
    facts = {
        "hub_id": request.hub_id,
        "reason": request.reason,
        "user": request.user.username,
        "page": settings.SITE_URL + reverse("admin:submissions_basemodelrequest_changelist"),
    }
    payload = payload_of(Event.MODEL_REQUESTED, {"request": facts})
    tell(Event.MODEL_REQUESTED, team, payload, [], operators())


def operators() -> list[User]:
    """Who is told by e-mail what concerns the site."""
    return list(User.objects.filter(is_staff=True, is_active=True).exclude(email=""))


@transaction.atomic
def message_posted(
    submission: Submission, *, author: User, text: str, to_team: bool, reviewers: list[User]
) -> None:
    """Tell what was written in a submission's thread: to its team where it is for it, and to reviewers."""
    current = Submission.objects.select_related("team", "base_model").get(pk=submission.pk)
    told = {"author": author.username, "text": text}
    payload = payload_of(Event.MESSAGE, {"submission": _facts(current), "message": told})
    webhooks = list(current.team.webhooks.filter(active=True, events__contains=[Event.MESSAGE.value]))
    members = _recipients(current, Event.MESSAGE) if to_team else []
    if to_team and (webhooks or members):
        tell(Event.MESSAGE, current.team, payload, webhooks, members, submission=current)
    if reviewers:
        tell(Event.MESSAGE, None, payload, [], reviewers)


@transaction.atomic
def entry_requested(facts: dict[str, Any], to: Iterable[User]) -> None:
    """Tell the reviewers whom it does not concern by e-mail what somebody asks about an entry."""
    recipients = [user for user in to if user.email]
    if recipients:
        payload = payload_of(Event.ENTRY_REQUESTED, {"request": facts})
        tell(Event.ENTRY_REQUESTED, None, payload, [], recipients)


@transaction.atomic
def entry_objected(submission: Submission, facts: dict[str, Any]) -> None:
    """Tell an entry's team by e-mail that somebody objects to it in public, and until when to answer."""
    members = User.objects.filter(memberships__team=submission.team_id, is_active=True).exclude(email="")
    payload = payload_of(Event.ENTRY_OBJECTED, {"request": facts})
    tell(Event.ENTRY_OBJECTED, submission.team, payload, [], list(members))


@transaction.atomic
def entry_answered(user: User, facts: dict[str, Any]) -> None:
    """Tell by e-mail who asked about an entry what came of it."""
    if user.is_active and user.email:
        payload = payload_of(Event.ENTRY_ANSWERED, {"request": facts})
        tell(Event.ENTRY_ANSWERED, None, payload, [], [user])


@transaction.atomic
def contacted(facts: dict[str, Any]) -> None:
    """Tell the operators by e-mail what somebody wrote through the contact form."""
    tell(Event.CONTACTED, None, payload_of(Event.CONTACTED, {"message": facts}), [], operators())


@transaction.atomic
def send_test(webhook: Webhook) -> Delivery:
    """Send a message that says nothing but that it is a test. Raises NotificationRefused."""
    _refuse_too_many(webhook)
    payload = payload_of(Event.TEST, {"webhook": {"id": webhook.pk, "url": webhook.url}})
    return tell(Event.TEST, webhook.team, payload, [webhook], [])[0]


@transaction.atomic
def redeliver(delivery: Delivery) -> Delivery:
    """Send a message once more, under its own id, as a new delivery. Raises NotificationRefused."""
    assert delivery.webhook
    _refuse_too_many(delivery.webhook)
    again = Delivery.objects.create(notification=delivery.notification, webhook=delivery.webhook)
    wake_notifiers()
    return again


def tell(
    event: Event,
    team: Team | None,
    payload: dict[str, Any],
    webhooks: list[Webhook],
    recipients: list[User],
    *,
    submission: Submission | None = None,
) -> list[Delivery]:
    """Send it to webhooks, and by e-mail to those recipients who did not turn this kind off."""
    muted = EmailPreferences.objects.filter(user__in=recipients, muted__contains=[event.value])
    unwanted = set(muted.values_list("user", flat=True))
    recipients = [user for user in recipients if user.pk not in unwanted]
    if not webhooks and not recipients:
        return []
    body = json.dumps(payload, ensure_ascii=False)
    notification = Notification.objects.create(event=event, team=team, submission=submission, body=body)
    deliveries = Delivery.objects.bulk_create(
        [
            *(Delivery(notification=notification, webhook=webhook) for webhook in webhooks),
            *(Delivery(notification=notification, recipient=user) for user in recipients),
        ]
    )
    wake_notifiers()
    return deliveries


def _recipients(submission: Submission, event: Event) -> list[User]:
    """The members whom it concerns; a submitter who has left the team is told nothing any more.

    An entry that was taken over from elsewhere none of them submitted: all are told what becomes of it.
    """
    if event not in E_MAIL_EVENTS:
        return []
    members = (
        User.objects.filter(memberships__team=submission.team_id, is_active=True)
        .exclude(email="")
        .select_related("email_preferences")
    )
    return [
        user
        for user in members
        if user.pk == submission.submitter_id
        or submission.kind == Submission.Kind.IMPORTED
        or (hasattr(user, "email_preferences") and user.email_preferences.whole_team)
    ]


def _is_draft_to_mend(submission: Submission) -> bool:
    fetched = HubFetch.objects.filter(submission=submission).exclude(status__in=HubFetch.ACTIVE)
    return fetched.exists() and submission.findings.filter(severity="error").exists()


def payload_of(event: Event, data: dict[str, Any]) -> dict[str, Any]:
    """The body as the Standard Webhooks specification advises: type, timestamp, data."""
    return {"type": event.value, "timestamp": timezone.now().isoformat(timespec="milliseconds"), "data": data}


def _facts(submission: Submission) -> dict[str, Any]:
    facts: dict[str, Any] = {
        "id": submission.pk,
        "status": submission.status,
        "challenge": submission.challenge,
        "method": submission.method,
        "base_model": submission.base_model.hub_id,
        "team": {"id": submission.team_id, "name": submission.team.name},
        "page": settings.SITE_URL + submission.get_absolute_url(),
        "api": settings.SITE_URL + reverse("api-submission", args=[submission.pk]),
    }
    if submission.decide_by:
        facts["decide_by"] = submission.decide_by.isoformat(timespec="seconds")
    if submission.status == Status.FAILED:
        evaluation = submission.evaluations.filter(purpose="board").order_by("-pk").first()
        if evaluation:
            facts["error"] = {"code": evaluation.error_code, "message": evaluation.error_message}
    return facts


def _page(webhook: Webhook) -> str:
    return str(settings.SITE_URL + reverse("notifications:webhook", args=[webhook.pk]))


def _give_up(webhook: Webhook) -> None:
    webhook.deliveries.filter(status=Delivery.Status.WAITING).update(
        status=Delivery.Status.FAILED, detail="The webhook was turned off."
    )


def _refuse_too_many(webhook: Webhook) -> None:
    """Owners choose the address, so they may not have it called as often as they like."""
    recent = webhook.deliveries.filter(created_at__gt=timezone.now() - MANUAL_SPAN)
    Webhook.objects.select_for_update().get(pk=webhook.pk)
    if recent.count() >= MOST_MANUAL:
        raise NotificationRefused("That were many messages in a short time. Try again in some minutes.")


__all__ = [
    "SUBMISSION_EVENTS",
    "NotificationRefused",
    "add_webhook",
    "base_model_requested",
    "change_webhook",
    "contacted",
    "disable",
    "entry_answered",
    "entry_objected",
    "entry_requested",
    "message_posted",
    "preferences_of",
    "redeliver",
    "renew_secret",
    "send_test",
    "set_preferences",
    "submission_changed",
]
