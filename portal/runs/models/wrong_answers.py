"""A score's wrong answers in two bytes an item, so that those of thousands of entries can be compared."""

from __future__ import annotations

from django.db import models

from portal.runs.models.evaluation import Score


class WrongAnswers(models.Model):
    """`Codes` of `evaluation.resemblance.wrong_answers`, little-endian; empty where the items are gone."""

    score = models.OneToOneField(
        Score, primary_key=True, on_delete=models.CASCADE, related_name="wrong_answers"
    )
    codes = models.BinaryField()

    def __str__(self) -> str:
        return f"wrong answers of score {self.score_id}"
