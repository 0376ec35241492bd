"""What people and programs are told, to whom it goes, and what became of it."""

from __future__ import annotations

import json
import uuid
from typing import Any

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q
from django.utils import timezone

from portal.accounts.models import Team
from portal.submissions.models import Submission


class Event(models.TextChoices):
    """What may happen; the values are the `type` of a webhook's payload."""

    QUEUED = "submission.queued", "queued for evaluation"
    EVALUATING = "submission.evaluating", "evaluation started"
    NEEDS_CHANGES = "submission.needs_changes", "needs changes"
    TRIED = "submission.tried", "smoke run finished"
    IN_REVIEW = "submission.in_review", "evaluation finished, in review"
    FAILED = "submission.failed", "evaluation failed"
    PUBLISHED = "submission.published", "published"
    REJECTED = "submission.rejected", "rejected"
    DISQUALIFIED = "submission.disqualified", "disqualified"
    WITHDRAWN = "submission.withdrawn", "withdrawn"
    MESSAGE = "submission.message", "a message"
    CHANGES_REQUESTED = "submission.changes_requested", "changes asked for"
    REOPENED = "submission.reopened", "in review again"
    HELD = "submission.held", "review on hold"
    RELEASED = "submission.released", "review goes on"
    LAPSED = "submission.lapsed", "closed, no changes came"
    REINSTATED = "submission.reinstated", "on the board again"
    TEST = "webhook.test", "test"
    DISABLED = "webhook.disabled", "webhook turned off"
    MODEL_REQUESTED = "base_model.requested", "base model asked for"
    ENTRY_REQUESTED = "entry.requested", "request about an entry"
    ENTRY_ANSWERED = "entry.answered", "answer to a request"
    ENTRY_OBJECTED = "entry.objected", "objection to an entry"
    CONTACTED = "site.contacted", "message through the contact form"
    DECISION_WAITS = "decision.waits", "decision waits for a second reviewer"
    DECISION_ANSWERED = "decision.answered", "second reviewer answered"
    REVIEW_WAITING = "review.waiting", "cases wait for review"
    OUTAGE_BEGAN = "outage.began", "outage"
    OUTAGE_OVER = "outage.over", "outage over"


SUBMISSION_EVENTS = tuple(event for event in Event if event.value.startswith("submission."))
E_MAIL_EVENTS = (
    Event.NEEDS_CHANGES,
    Event.TRIED,
    Event.IN_REVIEW,
    Event.FAILED,
    Event.PUBLISHED,
    Event.REJECTED,
    Event.DISQUALIFIED,
    Event.MESSAGE,
    Event.CHANGES_REQUESTED,
    Event.REOPENED,
    Event.HELD,
    Event.RELEASED,
    Event.LAPSED,
    Event.REINSTATED,
)
"""What a person may get an e-mail about: where something is finished or for them to do."""
REQUEST_EVENTS = (Event.ENTRY_ANSWERED, Event.ENTRY_OBJECTED)
"""And of what was asked about entries."""
DESK_EVENTS = (
    Event.REVIEW_WAITING,
    Event.ENTRY_REQUESTED,
    Event.DECISION_WAITS,
    Event.DECISION_ANSWERED,
)
"""And as a reviewer."""


def _event() -> models.CharField[str, str]:
    return models.CharField(max_length=30, choices=Event.choices)


class EmailPreferences(models.Model):
    """What a user wants no e-mail about. Without a row: every kind, for what they submitted themselves."""

    user = models.OneToOneField(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="email_preferences"
    )
    muted = ArrayField(_event(), default=list)
    whole_team = models.BooleanField(default=False)

    def __str__(self) -> str:
        return f"e-mail preferences of {self.user}"


class Webhook(models.Model):
    """An address of a team's own that is told what happens to its submissions."""

    team = models.ForeignKey(Team, on_delete=models.CASCADE, related_name="webhooks")
    url = models.CharField("URL", max_length=500)
    events = ArrayField(_event())
    active = models.BooleanField(default=True)
    secret = models.BinaryField(editable=False, help_text="Encrypted: it signs, so a digest is not enough")
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    failing_since = models.DateTimeField(
        null=True, editable=False, help_text="The first failure after the last success"
    )
    disabled_because = models.CharField(max_length=300, blank=True, editable=False)

    class Meta:
        ordering = ["team__name", "pk"]

    def __str__(self) -> str:
        return self.url


class Notification(models.Model):
    """Something that happened, as it is told: written in the transaction that made it so."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    event = _event()
    team = models.ForeignKey(
        Team,
        null=True,
        on_delete=models.CASCADE,
        related_name="+",
        help_text="None of what staff are told",
    )
    submission = models.ForeignKey(
        Submission, null=True, on_delete=models.CASCADE, related_name="notifications"
    )
    body = models.TextField(help_text="JSON, as it is sent and signed")
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        indexes = [models.Index(fields=["created_at"], name="notification_age")]

    def __str__(self) -> str:
        return f"{self.event} at {self.created_at:%Y-%m-%d %H:%M}"

    @property
    def payload(self) -> dict[str, Any]:
        return dict(json.loads(self.body))

    @property
    def message_id(self) -> str:
        """The `webhook-id`: the same at every attempt, so that a receiver knows a repetition."""
        return f"msg_{self.id.hex}"


class Delivery(models.Model):
    """A notification on its way to one webhook or one person. Workers claim waiting rows that are due."""

    class Status(models.TextChoices):
        WAITING = "waiting", "waiting"
        RUNNING = "running", "under way"
        DELIVERED = "delivered", "delivered"
        FAILED = "failed", "given up"

    notification = models.ForeignKey(Notification, on_delete=models.CASCADE, related_name="deliveries")
    webhook = models.ForeignKey(Webhook, null=True, on_delete=models.CASCADE, related_name="deliveries")
    recipient = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.CASCADE, related_name="+"
    )
    status = models.CharField(max_length=10, choices=Status.choices, default=Status.WAITING)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    next_attempt_at = models.DateTimeField(default=timezone.now)
    attempts = models.PositiveSmallIntegerField(default=0)
    claim_id = models.UUIDField(null=True)
    lease_expires_at = models.DateTimeField(null=True)
    attempted_at = models.DateTimeField(null=True)
    response_code = models.PositiveSmallIntegerField(null=True)
    seconds = models.FloatField(null=True)
    detail = models.CharField(max_length=300, blank=True, help_text="Why the last attempt failed")

    class Meta:
        ordering = ["-created_at", "-pk"]
        indexes = [
            models.Index(fields=["next_attempt_at"], name="delivery_queue", condition=Q(status="waiting")),
            models.Index(fields=["webhook", "-created_at"], name="delivery_webhook"),
        ]
        constraints = [
            models.CheckConstraint(
                condition=Q(webhook=None, recipient__isnull=False) | Q(webhook__isnull=False, recipient=None),
                name="delivery_has_one_receiver",
            ),
            models.CheckConstraint(
                condition=Q(status="running", claim_id__isnull=False, lease_expires_at__isnull=False)
                | (~Q(status="running") & Q(claim_id=None, lease_expires_at=None)),
                name="delivery_claimed_while_running",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.notification.event} to {self.webhook or self.recipient}"
