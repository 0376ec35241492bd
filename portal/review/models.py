"""What reviewers decided, and why; and what people ask of them."""

from __future__ import annotations

import pgtrigger
from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone

from portal.accounts.models import Team
from portal.submissions.models import Submission


class Decision(models.Model):
    """A reviewer's act on a submission. The record is append-only."""

    class Action(models.TextChoices):
        PUBLISH = "publish"
        REJECT = "reject"
        REOPEN = "reopen"
        RERUN = "rerun"
        DISQUALIFY = "disqualify"

    submission = models.ForeignKey(Submission, on_delete=models.PROTECT, related_name="decisions")
    reviewer = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="decisions")
    action = models.CharField(max_length=10, choices=Action.choices)
    reason = models.TextField(blank=True)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        ordering = ["pk"]
        constraints = [
            models.CheckConstraint(
                condition=~Q(action__in=["reject", "disqualify"]) | ~Q(reason=""),
                name="decision_refusal_has_reason",
            ),
        ]
        triggers = [
            pgtrigger.Protect(name="decision_append_only", operation=pgtrigger.Update | pgtrigger.Delete)
        ]

    def __str__(self) -> str:
        return f"{self.action} #{self.submission_id}"


class EntryRequest(models.Model):
    """What somebody asks of the reviewers about a published entry, and their answer.

    A claim says that an entry taken over from another board is the team's own.
    """

    class Kind(models.TextChoices):
        CLAIM = "claim", "claim"

    class State(models.TextChoices):
        OPEN = "open", "waiting for the reviewers"
        ACCEPTED = "accepted", "accepted"
        DECLINED = "declined", "declined"

    submission = models.ForeignKey(Submission, on_delete=models.PROTECT, related_name="entry_requests")
    kind = models.CharField(max_length=10, choices=Kind.choices)
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="entry_requests"
    )
    team = models.ForeignKey(
        Team, on_delete=models.PROTECT, related_name="entry_requests", help_text="For whom it is asked"
    )
    reason = models.TextField(max_length=2000)
    link = models.URLField(blank=True, help_text="Where others can see that it is so")
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    state = models.CharField(max_length=10, choices=State.choices, default=State.OPEN)
    answer = models.TextField(blank=True, max_length=2000, help_text="Shown to who asked")
    answered_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, editable=False, related_name="+"
    )
    answered_at = models.DateTimeField(null=True, editable=False)

    class Meta:
        ordering = ["-created_at", "-pk"]
        constraints = [
            models.UniqueConstraint(
                fields=["submission", "user", "kind"],
                condition=Q(state="open"),
                name="entry_request_one_open",
            ),
            models.CheckConstraint(
                condition=Q(state="open", answered_at=None)
                | (~Q(state="open") & Q(answered_at__isnull=False)),
                name="entry_request_answered_or_open",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.kind} of #{self.submission_id} by {self.user}"
