"""Audits: which entries were drawn in a month, by which public seed, and what came of trying them again."""

from __future__ import annotations

import pgtrigger
from django.db import models
from django.db.models import Q
from django.utils import timezone

from portal.runs.models import BaselineRun, Evaluation
from portal.submissions.models import Submission


class AuditDraw(models.Model):
    """One month's draw. Everything that it follows from is public: portal.review.audits states the rule."""

    month = models.DateField(unique=True, help_text="Its first day")
    head = models.CharField(max_length=64, help_text="SHA-256 of the public history before the month")
    seed = models.CharField(max_length=64, help_text="SHA-256 of the month and the head")
    percent = models.FloatField(help_text="The share of the entries that is drawn")
    population = models.JSONField(help_text="The entries that could be drawn, by number")
    drawn_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        ordering = ["-month"]
        constraints = [
            models.CheckConstraint(condition=Q(month__day=1), name="audit_draw_of_a_month"),
            models.CheckConstraint(condition=Q(percent__gt=0, percent__lte=100), name="audit_draw_share"),
        ]
        triggers = [
            pgtrigger.Protect(name="audit_draw_append_only", operation=pgtrigger.Update | pgtrigger.Delete)
        ]

    def __str__(self) -> str:
        return f"audit of {self.month:%Y-%m}"


class Audit(models.Model):
    """An entry that was drawn: evaluated anew or retrained, and what that gave beside the `original`.

    Figures are fractions, the new average less the original's, with its 95% interval from `low` to `high`.
    """

    class Kind(models.TextChoices):
        EVALUATION = "evaluation", "evaluated anew"
        RETRAINING = "retraining", "retrained"

    class Outcome(models.TextChoices):
        OPEN = "open", "under way"
        SAME = "same", "the same"
        WITHIN = "within", "differs within the interval"
        DIFFERS = "differs", "differs"
        FAILED = "failed", "came to no result"

    draw = models.ForeignKey(AuditDraw, on_delete=models.PROTECT, related_name="audits")
    submission = models.ForeignKey(Submission, on_delete=models.PROTECT, related_name="audits")
    kind = models.CharField(max_length=10, choices=Kind.choices)
    original = models.ForeignKey(Evaluation, on_delete=models.PROTECT, related_name="+")
    evaluation = models.OneToOneField(Evaluation, null=True, on_delete=models.PROTECT, related_name="audit")
    run = models.OneToOneField(BaselineRun, null=True, on_delete=models.PROTECT, related_name="audit")
    same_machine = models.BooleanField(
        default=False, help_text="There was no other worker than the one that gave the original score"
    )
    outcome = models.CharField(max_length=10, choices=Outcome.choices, default=Outcome.OPEN)
    difference = models.FloatField(null=True)
    low = models.FloatField(null=True)
    high = models.FloatField(null=True)
    note = models.TextField(blank=True, help_text="Why it came to no result")
    settled_at = models.DateTimeField(null=True, editable=False)

    class Meta:
        ordering = ["pk"]
        constraints = [
            models.UniqueConstraint(fields=["draw", "submission"], name="audit_once_a_draw"),
            models.CheckConstraint(
                condition=Q(outcome="open", settled_at=None)
                | (~Q(outcome="open") & Q(settled_at__isnull=False)),
                name="audit_settled_has_date",
            ),
        ]
        triggers = [
            pgtrigger.Protect(name="audit_stays", operation=pgtrigger.Delete),
            pgtrigger.ReadOnly(name="audit_drawn", fields=["draw", "submission", "kind", "original"]),
            pgtrigger.Protect(
                name="audit_settled",
                operation=pgtrigger.Update,
                condition=pgtrigger.Condition("OLD.outcome <> 'open'"),
            ),
        ]

    def __str__(self) -> str:
        return f"audit of #{self.submission_id}, {self.draw}"
