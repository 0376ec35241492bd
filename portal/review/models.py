"""What reviewers decided, and why."""

from __future__ import annotations

import pgtrigger
from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone

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
