"""Studies: plans of many baseline runs that make one table, and which run stands at which place of it."""

from __future__ import annotations

import pgtrigger
from django.conf import settings
from django.db import models
from django.urls import reverse
from django.utils import timezone

from portal.runs.models.baseline import BaselineRun


class Study(models.Model):
    """A plan that was started. `plan` is its TOML as it was written; its cells are numbered by it.

    Its runs are queued with its `priority`: runs of no study have 0, a higher number goes first.
    """

    title = models.CharField(max_length=80)
    plan = models.TextField()
    priority = models.SmallIntegerField(default=0)
    started_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="studies")
    started_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        ordering = ["-pk"]
        verbose_name_plural = "studies"
        triggers = [
            pgtrigger.ReadOnly(name="study_plan_stays", fields=["title", "plan", "started_by", "started_at"])
        ]

    def __str__(self) -> str:
        return f"study {self.pk}, {self.title}"

    def get_absolute_url(self) -> str:
        return reverse("studies:study", args=[self.pk])


class StudyRun(models.Model):
    """A run that a study asked for: of its cell and seed the newest one counts."""

    study = models.ForeignKey(Study, on_delete=models.PROTECT, related_name="study_runs")
    cell = models.PositiveIntegerField(help_text="Number of the cell in the plan, from 1")
    seed = models.PositiveBigIntegerField()
    run = models.OneToOneField(BaselineRun, on_delete=models.PROTECT, related_name="study_run")

    class Meta:
        ordering = ["cell", "seed", "pk"]
        indexes = [models.Index(fields=["study", "cell", "seed"], name="studyrun_place")]
        triggers = [
            pgtrigger.Protect(name="study_run_append_only", operation=pgtrigger.Update | pgtrigger.Delete)
        ]

    def __str__(self) -> str:
        return f"cell {self.cell} of study {self.study_id}, seed {self.seed}"
