"""Evaluations of checkpoints and the scores they gave."""

from __future__ import annotations

import pgtrigger
from django.db import models
from django.db.models import F, Q
from django.utils import timezone

from evaluation.benchmarks import BENCHMARKS
from portal.submissions.models import BaseModel, Checkpoint, Submission


class Evaluation(models.Model):
    """One run of a challenge's benchmarks over a checkpoint. A re-run is a new row.

    While `running`, the row is owned by the worker that holds `claim_id`; every write by a worker is
    conditional on it, so a worker whose lease expired cannot record any more.
    """

    class Status(models.TextChoices):
        QUEUED = "queued", "queued"
        RUNNING = "running", "running"
        SUCCEEDED = "succeeded", "succeeded"
        FAILED = "failed", "failed"
        CANCELLED = "cancelled", "cancelled"

    ACTIVE = (Status.QUEUED, Status.RUNNING)

    submission = models.ForeignKey(Submission, on_delete=models.CASCADE, related_name="evaluations")
    base_model = models.ForeignKey(BaseModel, on_delete=models.PROTECT, related_name="evaluations")
    checkpoint = models.ForeignKey(
        Checkpoint, null=True, on_delete=models.PROTECT, related_name="evaluations"
    )
    protocol = models.PositiveSmallIntegerField()
    status = models.CharField(max_length=10, choices=Status.choices, default=Status.QUEUED)
    priority = models.SmallIntegerField(default=0, help_text="Higher runs first")

    claim_id = models.UUIDField(null=True, unique=True, editable=False)
    lease_expires_at = models.DateTimeField(null=True, editable=False)
    worker = models.CharField(max_length=120, blank=True, editable=False)
    attempts = models.PositiveSmallIntegerField(default=0, editable=False)
    progress = models.JSONField(default=dict, editable=False)

    error_code = models.CharField(max_length=60, blank=True, editable=False)
    error_message = models.TextField(blank=True, editable=False)
    provenance = models.JSONField(default=dict, editable=False)

    queued_at = models.DateTimeField(default=timezone.now, editable=False)
    started_at = models.DateTimeField(null=True, editable=False)
    finished_at = models.DateTimeField(null=True, editable=False)

    class Meta:
        ordering = ["-pk"]
        indexes = [
            models.Index(
                fields=["-priority", "queued_at"], name="evaluation_queue", condition=Q(status="queued")
            ),
            models.Index(
                fields=["lease_expires_at"], name="evaluation_leases", condition=Q(status="running")
            ),
        ]
        constraints = [
            models.UniqueConstraint(
                fields=["submission"],
                condition=Q(status__in=["queued", "running"]),
                name="evaluation_one_active",
            ),
            models.CheckConstraint(
                condition=Q(status="running", claim_id__isnull=False, lease_expires_at__isnull=False)
                | (~Q(status="running") & Q(claim_id=None, lease_expires_at=None)),
                name="evaluation_claimed_while_running",
            ),
            models.CheckConstraint(
                condition=Q(status__in=["queued", "running"], finished_at=None)
                | Q(status__in=["succeeded", "failed", "cancelled"], finished_at__isnull=False),
                name="evaluation_finished_has_date",
            ),
            models.CheckConstraint(
                condition=~Q(status="failed") | ~Q(error_code=""), name="evaluation_failure_has_reason"
            ),
        ]
        triggers = [
            pgtrigger.Protect(
                name="evaluation_final",
                operation=pgtrigger.Update | pgtrigger.Delete,
                condition=pgtrigger.Q(old__status__in=["succeeded", "failed", "cancelled"]),
            ),
            pgtrigger.FSM(
                name="evaluation_status",
                field="status",
                transitions=[
                    ("queued", "running"),
                    ("queued", "cancelled"),
                    ("running", "queued"),
                    ("running", "succeeded"),
                    ("running", "failed"),
                    ("running", "cancelled"),
                ],
            ),
        ]

    def __str__(self) -> str:
        return f"evaluation {self.pk} of {self.submission_id}"


class Score(models.Model):
    """A benchmark's score within an evaluation. Written once, never changed."""

    class Data(models.TextChoices):
        OFFICIAL = "official"
        DEMONSTRATION = "demonstration"
        OTHER = "other"

    evaluation = models.ForeignKey(Evaluation, on_delete=models.CASCADE, related_name="scores")
    benchmark = models.CharField(max_length=30)
    value = models.FloatField(null=True, help_text="Fraction of the scored items that are right")
    standard_error = models.FloatField(null=True)
    n = models.PositiveIntegerField(help_text="Items, unscored ones included")
    correct = models.PositiveIntegerField()
    unscored = models.PositiveIntegerField(help_text="Items without an answer through no fault of the model")
    data = models.CharField(max_length=13, choices=Data.choices)
    data_digest = models.CharField(max_length=80)
    available = models.PositiveIntegerField(help_text="Items of the whole benchmark in these data")
    official = models.BooleanField()
    unofficial_reasons = models.JSONField(default=list)
    correct_bits = models.BinaryField(help_text="numpy.packbits of right answers in the benchmark's order")
    scored_bits = models.BinaryField(help_text="numpy.packbits of scored items in the benchmark's order")
    seconds = models.FloatField()
    tokens = models.PositiveBigIntegerField()
    items = models.FileField(
        max_length=200, blank=True, help_text="JSON lines: prompt, completion, target of each item"
    )
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        ordering = ["pk"]
        constraints = [
            models.UniqueConstraint(fields=["evaluation", "benchmark"], name="score_unique"),
            models.CheckConstraint(
                condition=Q(value__gte=0, value__lte=1, standard_error__gte=0)
                | Q(value=None, standard_error=None, unscored=F("n")),
                name="score_is_a_fraction",
            ),
            models.CheckConstraint(
                condition=Q(correct__lte=F("n") - F("unscored")), name="score_counts_consistent"
            ),
            models.CheckConstraint(
                condition=Q(official=False) | Q(data="official", unscored=0),
                name="score_official_is_complete",
            ),
        ]
        triggers = [
            pgtrigger.Protect(name="score_immutable", operation=pgtrigger.Update),
            pgtrigger.Trigger(
                name="score_only_while_running",
                when=pgtrigger.Before,
                operation=pgtrigger.Insert | pgtrigger.Delete,
                func="""
                    IF EXISTS (
                        SELECT 1 FROM runs_evaluation
                        WHERE id = COALESCE(NEW.evaluation_id, OLD.evaluation_id) AND status <> 'running'
                    ) THEN
                        RAISE EXCEPTION 'Scores change only while their evaluation runs';
                    END IF;
                    RETURN COALESCE(NEW, OLD);
                """,
            ),
        ]

    def __str__(self) -> str:
        return f"{self.benchmark} {self.correct}/{self.n}"

    @property
    def title(self) -> str:
        return BENCHMARKS[self.benchmark].title

    @property
    def mark(self) -> str:
        """The mark that the score must carry wherever it is shown; empty for an official one."""
        if self.official:
            return ""
        return "demonstration" if self.data == self.Data.DEMONSTRATION else "unofficial"
