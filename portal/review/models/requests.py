"""What people ask of the reviewers about published entries."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone

from portal.accounts.models import Team
from portal.submissions.models import Submission


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
