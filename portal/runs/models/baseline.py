"""Federated baselines that are trained here, and what each of their rounds was measured to take."""

from __future__ import annotations

import pgtrigger
from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.urls import reverse
from django.utils import timezone

from evaluation.rules.challenges import CHALLENGES
from portal.runs.models.claimable import Claimable, leases, lifecycle
from portal.submissions.models import BaseModel, Submission


class BaselineRun(Claimable):
    """One federated training run of this site, from its configuration to its reference entry.

    `config` is the JSON form of a FederatedConfig without this machine's paths: `model` is the base model's
    name and `train_data` that of the rows. A run that is claimed again goes on after its last round;
    `attempts` counts the attempts since then that broke.
    """

    challenge = models.CharField(max_length=20, choices=[(c.slug, c.title) for c in CHALLENGES.values()])
    base_model = models.ForeignKey(BaseModel, on_delete=models.PROTECT, related_name="baseline_runs")
    strategy = models.CharField(max_length=40)
    precision = models.CharField(max_length=10)
    method = models.CharField(max_length=80, help_text="Name of the entry that comes of it")
    config = models.JSONField()
    assumed = models.JSONField(
        default=list, help_text="What a method card did not say and was chosen here, in sentences"
    )
    rounds = models.PositiveIntegerField()
    rounds_done = models.PositiveIntegerField(default=0, editable=False)
    setup = models.JSONField(
        default=dict, editable=False, help_text="What the run said of itself before its first round"
    )
    priority = models.SmallIntegerField(default=0, db_default=0, help_text="Higher ones go first")
    requested_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="baseline_runs"
    )
    original = models.ForeignKey(
        Submission,
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name="retrainings",
        help_text="The submission that is retrained from its method card",
    )
    submission = models.OneToOneField(
        Submission,
        null=True,
        editable=False,
        on_delete=models.PROTECT,
        related_name="baseline_run",
        help_text="The reference entry that came of it",
    )

    class Meta:
        ordering = ["-pk"]
        indexes = [
            models.Index(fields=["queued_at"], name="baselinerun_queue", condition=Q(status="queued")),
            leases("baselinerun"),
            models.Index(fields=["challenge", "strategy", "base_model"], name="baselinerun_grid"),
        ]
        constraints = [
            models.CheckConstraint(
                condition=Q(challenge__in=list(CHALLENGES)), name="baselinerun_challenge_known"
            ),
            models.CheckConstraint(
                condition=Q(rounds__gt=0, rounds_done__lte=F("rounds")), name="baselinerun_rounds_counted"
            ),
            models.CheckConstraint(
                condition=Q(status="succeeded", submission__isnull=False)
                | (~Q(status="succeeded") & Q(submission=None)),
                name="baselinerun_success_has_entry",
            ),
            *Claimable.Meta.constraints,
        ]
        triggers = [
            *lifecycle("baselinerun"),
            pgtrigger.ReadOnly(
                name="baselinerun_identity",
                fields=[
                    "challenge",
                    "base_model",
                    "strategy",
                    "precision",
                    "method",
                    "config",
                    "assumed",
                    "rounds",
                    "requested_by",
                    "original",
                    "queued_at",
                ],
            ),
        ]

    def __str__(self) -> str:
        return f"baseline run {self.pk}, {self.method}"

    @property
    def log_ids(self) -> dict[str, object]:
        return {"baseline_run": self.pk, "claim": self.claim_id}

    def get_absolute_url(self) -> str:
        return reverse("baselines:run", args=[self.pk])


class RoundMetric(models.Model):
    """One round as it was measured: bytes, seconds, joules. Written once, never changed.

    Bytes are those of all clients together, `bytes_down` from the server to them; memory is the largest of
    any client. None where there was nothing to measure.
    """

    run = models.ForeignKey(BaselineRun, on_delete=models.PROTECT, related_name="round_metrics")
    round = models.PositiveIntegerField()
    clients = models.JSONField(help_text="Numbers of the clients whose reply was used")
    failures = models.JSONField(default=list, help_text="client and reason of those left out")
    examples = models.PositiveIntegerField()
    learning_rate = models.FloatField()
    train_loss = models.FloatField(null=True)
    held_out_loss = models.FloatField(null=True)
    client_losses = models.JSONField(
        default=list, help_text="client and loss on its own held-out rows, by the adapter as it has it"
    )
    bytes_down = models.PositiveBigIntegerField()
    bytes_up = models.PositiveBigIntegerField()
    train_seconds = models.FloatField(help_text="Of all clients together")
    aggregate_seconds = models.FloatField()
    communicate_seconds = models.FloatField()
    seconds = models.FloatField(help_text="Of the whole round on the clock")
    simulated_time = models.FloatField(
        null=True, help_text="Of the round in steps of a client of speed 1, where clients have speeds"
    )
    client_peak_rss_bytes = models.PositiveBigIntegerField()
    client_peak_vram_bytes = models.PositiveBigIntegerField(null=True)
    server_peak_rss_bytes = models.PositiveBigIntegerField()
    energy_joules = models.FloatField(null=True)
    energy_net_joules = models.FloatField(null=True, help_text="Above what the devices draw when idle")
    energy_method = models.TextField(blank=True, default="", help_text="The counters with their devices")
    gpu_seconds = models.FloatField(null=True)
    epsilon = models.FloatField(null=True, help_text="Spent until here, of differential privacy")
    recorded_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        ordering = ["run", "round"]
        constraints = [
            models.UniqueConstraint(fields=["run", "round"], name="round_metric_unique"),
            models.CheckConstraint(condition=Q(round__gt=0), name="round_metric_counted_from_one"),
        ]
        triggers = [
            pgtrigger.Protect(name="round_metric_append_only", operation=pgtrigger.Update | pgtrigger.Delete),
            pgtrigger.Trigger(
                name="round_metric_only_while_running",
                when=pgtrigger.Before,
                operation=pgtrigger.Insert,
                func="""
                    IF NOT EXISTS (
                        SELECT 1 FROM runs_baselinerun WHERE id = NEW.run_id AND status = 'running'
                    ) THEN
                        RAISE EXCEPTION 'Rounds are recorded only while their run is running';
                    END IF;
                    RETURN NEW;
                """,
            ),
        ]

    def __str__(self) -> str:
        return f"round {self.round} of run {self.run_id}"

    @property
    def bytes_both_ways(self) -> int:
        return self.bytes_down + self.bytes_up

    @property
    def worst_client_loss(self) -> float | None:
        """The highest of the clients' losses on their own held-out rows."""
        return max((one["loss"] for one in self.client_losses), default=None)

    @property
    def mean_client_loss(self) -> float | None:
        """The mean of these losses, each client weighing the same."""
        losses = [one["loss"] for one in self.client_losses]
        return sum(losses) / len(losses) if losses else None
