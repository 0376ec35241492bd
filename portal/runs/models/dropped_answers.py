"""What is left of single answers that were not worth their room: which bytes they were."""

from __future__ import annotations

from django.db import models
from django.utils import timezone

from portal.runs.models.evaluation import Score


class DroppedAnswers(models.Model):
    """The file of `score` is gone from storage by intent. Its counts and bits stay where they are."""

    score = models.OneToOneField(
        Score, primary_key=True, on_delete=models.CASCADE, related_name="dropped_answers"
    )
    sha256 = models.CharField(max_length=64)
    size = models.PositiveBigIntegerField(help_text="Bytes")
    dropped_at = models.DateTimeField(default=timezone.now)

    def __str__(self) -> str:
        return f"answers dropped of score {self.score_id}"
