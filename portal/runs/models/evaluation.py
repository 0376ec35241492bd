"""Evaluations of checkpoints and the scores they gave."""

from __future__ import annotations

import pgtrigger
from django.db import models
from django.db.models import F, Q
from django.utils import timezone

from evaluation.benchmarks import BENCHMARKS
from evaluation.data.dataset import SMOKE_RUN_ITEMS
from evaluation.rules.challenges import CHALLENGES
from evaluation.statistics import Interval, wilson_interval
from portal.runs.models.claimable import Claimable, leases, lifecycle
from portal.submissions.models import BaseModel, Checkpoint, Submission


class Evaluation(Claimable):
    """One run of a challenge's benchmarks over a checkpoint. A re-run is a new row.

    A smoke run asks few items of each, for its team alone. It ends as `tried`, which nothing that counts
    scores looks for, and its scores are never official.

    What is measured beside the board ends as `measured`, for the same reason: the adapter on another
    challenge's benchmarks (TRANSFER), and the base model alone on a challenge's (BASE), which is there for
    every entry on that base model, whichever asked for it. `domain` is that challenge. A measuring of LEAKAGE
    asks no benchmark. One of ROUND asks those of the board of an adapter that the training here kept after
    the round `round`.
    """

    class Purpose(models.TextChoices):
        BOARD = "board", "evaluation"
        TRANSFER = "transfer", "adapter on another domain"
        BASE = "base", "base model on a domain"
        LEAKAGE = "leakage", "measuring of leakage"
        ROUND = "round", "adapter of a round"

    submission = models.ForeignKey(Submission, on_delete=models.CASCADE, related_name="evaluations")
    base_model = models.ForeignKey(BaseModel, on_delete=models.PROTECT, related_name="evaluations")
    checkpoint = models.ForeignKey(
        Checkpoint, null=True, on_delete=models.PROTECT, related_name="evaluations"
    )
    protocol = models.PositiveSmallIntegerField()
    priority = models.SmallIntegerField(
        default=0, help_text="Above 0: staff's wish, takes nobody's turn; below: when nothing else waits"
    )
    waits_for = models.CharField(
        max_length=300, blank=True, editable=False, help_text="What a worker lacked that left it to others"
    )
    round_began_at = models.DateTimeField(
        null=True, editable=False, help_text="Of the round of turns that it was claimed in"
    )
    smoke_run = models.BooleanField(default=False, editable=False)
    purpose = models.CharField(max_length=8, choices=Purpose.choices, default=Purpose.BOARD, editable=False)
    domain = models.CharField(
        max_length=20,
        blank=True,
        editable=False,
        choices=[(c.slug, c.title) for c in CHALLENGES.values()],
        help_text="The challenge whose benchmarks are asked, where it is not for the board",
    )
    round = models.PositiveIntegerField(
        default=0, db_default=0, editable=False, help_text="Of the training, whose adapter was kept; else 0"
    )
    for_audit = models.BooleanField(
        default=False, editable=False, help_text="Tries a score again and counts on no board"
    )
    not_on = models.CharField(
        max_length=120, blank=True, editable=False, help_text="The machine that must not run it"
    )
    provenance = models.JSONField(default=dict, editable=False)

    class Meta:
        ordering = ["-pk"]
        indexes = [
            models.Index(fields=["queued_at"], name="evaluation_queue", condition=Q(status="queued")),
            models.Index(fields=["started_at"], name="evaluation_started"),
            leases("evaluation"),
        ]
        constraints = [
            models.UniqueConstraint(
                # An audit tries a score again whatever else is done with the entry.
                fields=["submission", "protocol", "for_audit", "purpose", "domain", "round"],
                condition=Q(status__in=["queued", "running"]),
                name="evaluation_one_active",
            ),
            models.CheckConstraint(
                condition=(Q(smoke_run=True) & ~Q(status="succeeded"))
                | (Q(smoke_run=False) & ~Q(status="tried")),
                name="evaluation_smoke_run_never_succeeds",
            ),
            models.CheckConstraint(
                condition=(Q(purpose="board", domain="") & ~Q(status="measured"))
                | (
                    Q(purpose__in=["transfer", "base"], domain__in=list(CHALLENGES))
                    & Q(smoke_run=False, for_audit=False)
                    & ~Q(status="succeeded")
                )
                | (
                    Q(purpose__in=["leakage", "round"], domain="", checkpoint__isnull=False)
                    & Q(smoke_run=False, for_audit=False)
                    & ~Q(status="succeeded")
                ),
                name="evaluation_beside_the_board_never_succeeds",
            ),
            models.CheckConstraint(
                condition=~Q(purpose="transfer") | Q(checkpoint__isnull=False),
                name="evaluation_transfer_is_of_an_adapter",
            ),
            models.CheckConstraint(
                condition=~Q(purpose="base") | Q(checkpoint=None), name="evaluation_base_has_no_adapter"
            ),
            models.CheckConstraint(
                condition=Q(purpose="round", round__gt=0) | (~Q(purpose="round") & Q(round=0)),
                name="evaluation_round_is_of_a_kept_adapter",
            ),
            *Claimable.Meta.constraints,
        ]
        triggers = [
            *lifecycle("evaluation", also=("tried", "measured")),
            pgtrigger.ReadOnly(
                name="evaluation_purpose_for_good", fields=["smoke_run", "purpose", "domain", "round"]
            ),
        ]

    def __str__(self) -> str:
        what = "smoke run" if self.smoke_run else self.get_purpose_display()
        return f"{what} {self.pk} of {self.submission_id}"

    @property
    def log_ids(self) -> dict[str, object]:
        return {"submission": self.submission_id, "evaluation": self.pk, "claim": self.claim_id}

    @property
    def challenge(self) -> str:
        """Whose benchmarks are asked: its submission's, where it is for the board."""
        return self.domain or self.submission.challenge

    @property
    def title(self) -> str:
        """What it is, for people."""
        if self.smoke_run:
            return "Smoke run"
        if self.purpose == self.Purpose.BOARD:
            return "Evaluation"
        if self.purpose == self.Purpose.LEAKAGE:
            return "Leakage"
        if self.purpose == self.Purpose.ROUND:
            return f"Adapter of round {self.round}"
        what = "Adapter" if self.purpose == self.Purpose.TRANSFER else "Base model"
        return f"{what} on {CHALLENGES[self.domain].title}"


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
    tokens_per_second = models.FloatField(
        null=True, help_text="Tokens of prompts and answers for each second of generating"
    )
    energy_joules = models.FloatField(
        null=True, help_text="What the devices used while generating, idle draw included, where a meter told"
    )
    energy_net_joules = models.FloatField(
        null=True, help_text="The same above what the devices draw when idle, where that was measured"
    )
    energy_method = models.TextField(
        blank=True,
        default="",
        help_text="The counters with their devices, and which were left out, and why",
    )
    items = models.FileField(
        max_length=200, blank=True, help_text="JSON lines: prompt, completion, target of each item"
    )
    items_bytes = models.BigIntegerField(
        null=True, editable=False, help_text="Size of that file; not known of early ones"
    )
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        ordering = ["pk"]
        indexes = [
            # Summed up without a look at the rows, which are wide.
            models.Index(fields=["items_bytes"], name="score_items_bytes", condition=~Q(items="")),
        ]
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
            pgtrigger.Trigger(
                name="score_of_smoke_run_unofficial",
                when=pgtrigger.Before,
                operation=pgtrigger.Insert,
                condition=pgtrigger.Q(new__official=True) | pgtrigger.Q(new__n__gt=SMOKE_RUN_ITEMS),
                func="""
                    IF EXISTS (SELECT 1 FROM runs_evaluation WHERE id = NEW.evaluation_id AND smoke_run) THEN
                        RAISE EXCEPTION 'A smoke run has few items, and no official score';
                    END IF;
                    RETURN NEW;
                """,
            ),
        ]

    def __str__(self) -> str:
        return f"{self.benchmark} {self.correct}/{self.n}"

    @property
    def title(self) -> str:
        return BENCHMARKS[self.benchmark].title

    @property
    def interval(self) -> Interval | None:
        """The 95% interval of `value`."""
        scored = self.n - self.unscored
        return wilson_interval(self.correct, scored) if scored else None

    @property
    def mark(self) -> str:
        """The mark that the score must carry wherever it is shown; empty for an official one."""
        if self.official:
            return ""
        return "demonstration" if self.data == self.Data.DEMONSTRATION else "unofficial"
