"""Work that waits in the database until a worker claims it: what evaluations and baseline runs share."""

from __future__ import annotations

import pgtrigger
from django.db import models
from django.db.models import Q
from django.utils import timezone

from portal.outages.models import Waiting


class Claimable(Waiting):
    """One piece of work. While `running`, the row is owned by the worker that holds `claim_id`.

    Every write by a worker is conditional on the claim, so a worker whose lease expired cannot record any
    more; see portal.runs.claims. A finished row never changes: the subclass lists `lifecycle(name)`.
    """

    class Status(models.TextChoices):
        QUEUED = "queued", "queued"
        RUNNING = "running", "running"
        SUCCEEDED = "succeeded", "succeeded"
        # Never succeeded: so whatever asks for results of a board finds none of these.
        TRIED = "tried", "smoke run done"
        MEASURED = "measured", "measured"
        FAILED = "failed", "failed"
        CANCELLED = "cancelled", "cancelled"

    ACTIVE = (Status.QUEUED, Status.RUNNING)

    status = models.CharField(max_length=10, choices=Status.choices, default=Status.QUEUED)

    claim_id = models.UUIDField(null=True, unique=True, editable=False)
    lease_expires_at = models.DateTimeField(null=True, editable=False)
    worker = models.CharField(max_length=120, blank=True, editable=False)
    attempts = models.PositiveSmallIntegerField(default=0, editable=False)
    progress = models.JSONField(default=dict, editable=False)

    error_code = models.CharField(max_length=60, blank=True, editable=False)
    error_message = models.TextField(blank=True, editable=False)

    queued_at = models.DateTimeField(default=timezone.now, editable=False)
    started_at = models.DateTimeField(null=True, editable=False)
    finished_at = models.DateTimeField(null=True, editable=False)

    class Meta:
        abstract = True
        constraints = [
            models.CheckConstraint(
                condition=Q(status="running", claim_id__isnull=False, lease_expires_at__isnull=False)
                | (~Q(status="running") & Q(claim_id=None, lease_expires_at=None)),
                name="%(class)s_claimed_while_running",
            ),
            models.CheckConstraint(
                condition=Q(status__in=["queued", "running"], finished_at=None)
                | Q(
                    status__in=["succeeded", "tried", "measured", "failed", "cancelled"],
                    finished_at__isnull=False,
                ),
                name="%(class)s_finished_has_date",
            ),
            models.CheckConstraint(
                condition=~Q(status="failed") | ~Q(error_code=""), name="%(class)s_failure_has_reason"
            ),
        ]

    @property
    def is_active(self) -> bool:
        return self.status in self.ACTIVE

    @property
    def log_ids(self) -> dict[str, object]:
        """By which the log's lines about it are found."""
        raise NotImplementedError


def leases(name: str) -> models.Index:
    """The index by which expired leases are found."""
    return models.Index(fields=["lease_expires_at"], name=f"{name}_leases", condition=Q(status="running"))


def lifecycle(name: str, *, also: tuple[str, ...] = ()) -> list[pgtrigger.Trigger]:
    """The triggers that hold rows of a model to their states, and finished ones as they are.

    `also` are ends that not every model has.
    """
    return [
        pgtrigger.Protect(
            name=f"{name}_final",
            operation=pgtrigger.Update | pgtrigger.Delete,
            condition=pgtrigger.Q(old__status__in=["succeeded", "tried", "measured", "failed", "cancelled"]),
        ),
        pgtrigger.FSM(
            name=f"{name}_status",
            field="status",
            transitions=[
                ("queued", "running"),
                ("queued", "cancelled"),
                ("running", "queued"),
                ("running", "succeeded"),
                ("running", "failed"),
                ("running", "cancelled"),
                *(("running", end) for end in also),
            ],
        ),
    ]
