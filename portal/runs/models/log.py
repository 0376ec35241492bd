"""What happened to an evaluation, line by line, as its team may read it."""

from __future__ import annotations

import pgtrigger
from django.db import models
from django.db.models import Q
from django.utils import timezone

from portal.runs.models.evaluation import Evaluation

MOST_LINES = 500
LONGEST_TEXT = 300


class LogLine(models.Model):
    """One line of an evaluation's log. Written once; numbered up to MOST_LINES, so that a log has an end."""

    class Level(models.TextChoices):
        INFO = "info"
        WARNING = "warning"
        ERROR = "error"

    evaluation = models.ForeignKey(Evaluation, on_delete=models.CASCADE, related_name="log", db_index=False)
    number = models.PositiveSmallIntegerField()
    at = models.DateTimeField(default=timezone.now)
    level = models.CharField(max_length=7, choices=Level.choices, default=Level.INFO)
    text = models.CharField(max_length=LONGEST_TEXT)

    class Meta:
        ordering = ["evaluation", "number"]
        constraints = [
            models.UniqueConstraint(fields=["evaluation", "number"], name="log_line_numbered"),
            models.CheckConstraint(condition=Q(number__range=(1, MOST_LINES)), name="log_line_within_bounds"),
        ]
        triggers = [pgtrigger.Protect(name="log_line_immutable", operation=pgtrigger.Update)]

    def __str__(self) -> str:
        return self.text
