"""Fetching a draft's files from the hub, as a queue of rows."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.utils import timezone

from portal.outages.models import Waiting
from portal.submissions.models.submission import Submission


class HubFetch(Waiting):
    """A draft's wish for files from the hub. Workers claim waiting rows; the end is told by findings."""

    class Status(models.TextChoices):
        WAITING = "waiting"
        RUNNING = "running"
        DONE = "done"
        FAILED = "failed"

    ACTIVE = (Status.WAITING, Status.RUNNING)

    submission = models.OneToOneField(Submission, on_delete=models.CASCADE, related_name="hub_fetch")
    repository = models.CharField(max_length=200)
    revision = models.CharField(max_length=200, blank=True)
    subfolder = models.CharField(max_length=200, blank=True)
    token_key = models.UUIDField(null=True, help_text="Of the token that waits, encrypted, in the cache")
    send = models.BooleanField(default=False, help_text="Send the submission if nothing stands against it")
    status = models.CharField(max_length=8, choices=Status.choices, default=Status.WAITING)
    attempts = models.PositiveSmallIntegerField(default=0)
    claim_id = models.UUIDField(null=True, unique=True)
    lease_expires_at = models.DateTimeField(null=True)
    worker = models.CharField(
        max_length=120, blank=True, default="", db_default="", help_text="That claimed it last"
    )
    started_at = models.DateTimeField(null=True, help_text="When that was")
    requested_at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(status="running", claim_id__isnull=False, lease_expires_at__isnull=False)
                | (~Q(status="running") & Q(claim_id=None, lease_expires_at=None)),
                name="hub_fetch_claimed_while_running",
            ),
        ]

    def __str__(self) -> str:
        return "@".join(filter(None, (self.repository, self.revision)))

    @property
    def is_active(self) -> bool:
        return self.status in self.ACTIVE
