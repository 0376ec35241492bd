"""What retraining a submission from its method card showed."""

from __future__ import annotations

import pghistory
import pgtrigger
from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.utils import timezone

from portal.runs.models.baseline import BaselineRun
from portal.runs.models.evaluation import Evaluation
from portal.submissions.models import Submission

_FIGURES = [
    "run",
    "original",
    "retrained",
    "original_evaluation",
    "retrained_evaluation",
    "outcome",
    "difference",
    "low",
    "high",
    "p_value",
    "tolerance",
    "benchmarks",
    "unequal",
    "decided_at",
]


@pghistory.track(
    pghistory.InsertEvent(),
    pghistory.UpdateEvent(condition=pgtrigger.AnyChange("verdict")),
    fields=["verdict", "judged_by", "judged_at", "reason"],
    model_name="ReproductionEvent",
    append_only=True,
)
class Reproduction(models.Model):
    """The paired comparison of a submission with its retrained counterpart, and what staff say to it.

    Figures are fractions: `difference` is the retrained average less the original's, with its 95% interval
    from `low` to `high`. `outcome` follows from them by the rule of portal.runs.reproductions; it is public
    once staff confirmed it. A verdict that turned out to rest on something wrong is withdrawn, with a reason.
    """

    class Outcome(models.TextChoices):
        REPRODUCED = "reproduced", "reproduced"
        NOT_REPRODUCED = "not_reproduced", "not reproduced"
        UNDECIDED = "undecided", "cannot be judged"

    class Verdict(models.TextChoices):
        OPEN = "open", "waits for confirmation"
        CONFIRMED = "confirmed", "confirmed"
        SET_ASIDE = "set_aside", "set aside"
        WITHDRAWN = "withdrawn", "withdrawn"

    run = models.OneToOneField(BaselineRun, on_delete=models.PROTECT, related_name="reproduction")
    original = models.ForeignKey(Submission, on_delete=models.PROTECT, related_name="reproductions")
    retrained = models.OneToOneField(Submission, on_delete=models.PROTECT, related_name="reproduction_of")
    original_evaluation = models.ForeignKey(Evaluation, on_delete=models.PROTECT, related_name="+")
    retrained_evaluation = models.ForeignKey(Evaluation, on_delete=models.PROTECT, related_name="+")
    outcome = models.CharField(max_length=14, choices=Outcome.choices)
    difference = models.FloatField(help_text="Retrained average less the original's, a fraction")
    low = models.FloatField()
    high = models.FloatField()
    p_value = models.FloatField()
    tolerance = models.FloatField(help_text="The absolute difference that counts as none")
    benchmarks = models.JSONField(help_text="The same figures of each benchmark")
    unequal = models.JSONField(
        default=list, help_text="Settings that the original does not state or has otherwise, in sentences"
    )
    decided_at = models.DateTimeField(default=timezone.now, editable=False)

    verdict = models.CharField(max_length=9, choices=Verdict.choices, default=Verdict.OPEN)
    judged_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+"
    )
    judged_at = models.DateTimeField(null=True)
    reason = models.TextField(blank=True)

    class Meta:
        ordering = ["-pk"]
        constraints = [
            models.CheckConstraint(
                condition=Q(low__lte=F("high")) & Q(p_value__gte=0, p_value__lte=1),
                name="reproduction_figures_consistent",
            ),
            models.CheckConstraint(
                condition=Q(verdict="open", judged_by=None, judged_at=None)
                | Q(verdict="withdrawn", judged_at__isnull=False)
                | (
                    ~Q(verdict__in=["open", "withdrawn"])
                    & Q(judged_by__isnull=False, judged_at__isnull=False)
                ),
                name="reproduction_verdict_has_judge",
            ),
            models.CheckConstraint(
                condition=~Q(verdict__in=["set_aside", "withdrawn"]) | ~Q(reason=""),
                name="reproduction_set_aside_has_reason",
            ),
        ]
        triggers = [
            pgtrigger.ReadOnly(name="reproduction_figures", fields=_FIGURES),
            pgtrigger.Protect(name="reproduction_stays", operation=pgtrigger.Delete),
            pgtrigger.FSM(
                name="reproduction_verdict",
                field="verdict",
                transitions=[
                    ("open", "confirmed"),
                    ("open", "set_aside"),
                    ("confirmed", "set_aside"),
                    ("set_aside", "confirmed"),
                    ("open", "withdrawn"),
                    ("confirmed", "withdrawn"),
                ],
            ),
        ]

    def __str__(self) -> str:
        return f"#{self.original_id} {self.get_outcome_display()} by #{self.retrained_id}"

    @property
    def is_public(self) -> bool:
        """Whether everybody may see it: it was confirmed, be it withdrawn since."""
        was_confirmed = self.verdict == self.Verdict.WITHDRAWN and self.judged_by_id is not None
        return self.verdict == self.Verdict.CONFIRMED or was_confirmed
