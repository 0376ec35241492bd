"""What tests of membership and canaries showed of an adapter."""

from __future__ import annotations

import pgtrigger
from django.db import models
from django.db.models import F, Q
from django.utils import timezone

from portal.runs.models.evaluation import Evaluation


class Leakage(models.Model):
    """The result of an evaluation with the purpose LEAKAGE. Written once, never changed.

    `auc` and `true_positives` are those of the loss ratio over all rows, with their 95% intervals;
    `memberships`, `clients` and `exposures` hold lists of `evaluation.wire.leakage`'s Membership,
    ClientLeakage and Exposure as JSON. `epsilon` is what the training spent of differential privacy, None
    without it or where that is not known.
    """

    class Basis(models.TextChoices):
        MEASURED = "measured", "trained here"
        DECLARED = "declared", "as declared"

    evaluation = models.OneToOneField(Evaluation, on_delete=models.CASCADE, related_name="leakage")
    basis = models.CharField(
        max_length=8, choices=Basis.choices, help_text="How it is known which rows were trained on"
    )
    members = models.PositiveIntegerField(help_text="Rows that were trained on, of those looked at")
    others = models.PositiveIntegerField(help_text="Rows of the same source that were not")
    auc = models.FloatField()
    auc_low = models.FloatField(null=True)
    auc_high = models.FloatField(null=True)
    true_positives = models.FloatField(help_text="Share of members found at 1% false positives")
    true_positives_low = models.FloatField(null=True)
    true_positives_high = models.FloatField(null=True)
    memberships = models.JSONField()
    clients = models.JSONField(default=list)
    exposures = models.JSONField(default=list)
    epsilon = models.FloatField(null=True)
    seconds = models.FloatField()
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        ordering = ["pk"]
        constraints = [
            models.CheckConstraint(
                condition=Q(auc__gte=0, auc__lte=1, true_positives__gte=0, true_positives__lte=1),
                name="leakage_rates_are_fractions",
            ),
            models.CheckConstraint(
                condition=Q(auc_low=None, auc_high=None) | Q(auc_low__lte=F("auc"), auc_high__gte=F("auc")),
                name="leakage_interval_holds_area",
            ),
        ]
        triggers = [pgtrigger.Protect(name="leakage_immutable", operation=pgtrigger.Update)]

    def __str__(self) -> str:
        return f"leakage of evaluation {self.evaluation_id}"
