"""What is kept to tell which adapters are alike: a sketch of each, and what was found for a submission."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.utils import timezone

from portal.submissions.models.checkpoint import Checkpoint
from portal.submissions.models.submission import Submission


class AdapterSketch(models.Model):
    """A few kB of a checkpoint's update, in the form of `evaluation.resemblance.sketches`, made once.

    `problem` says why there is none; then `content` is empty.
    """

    checkpoint = models.OneToOneField(
        Checkpoint, primary_key=True, on_delete=models.CASCADE, related_name="sketch"
    )
    version = models.PositiveSmallIntegerField()
    content = models.BinaryField()
    problem = models.CharField(max_length=400, blank=True)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(problem="") ^ Q(content=b""), name="adapter_sketch_or_its_problem"
            ),
        ]

    def __str__(self) -> str:
        return f"sketch of {self.checkpoint_id}"


class ResemblanceReport(models.Model):
    """What was found to be like a submission's adapter and answers. A row without content waits for it.

    `content` is a `portal.review.resemblance.Report` as JSON. Nothing in it names a team: that is looked up
    when it is shown.
    """

    submission = models.OneToOneField(
        Submission, primary_key=True, on_delete=models.CASCADE, related_name="resemblance"
    )
    asked_at = models.DateTimeField(default=timezone.now, editable=False)
    found_at = models.DateTimeField(null=True, editable=False)
    content = models.JSONField(null=True)
    is_anothers = models.BooleanField(
        default=False, help_text="Whether its adapter is another team's, wholly, nearly or as a part of it"
    )

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(found_at=None, content=None) | Q(found_at__isnull=False, content__isnull=False),
                name="resemblance_report_dated_when_found",
            ),
        ]
        indexes = [
            models.Index(fields=["asked_at"], name="resemblance_asked", condition=Q(found_at=None)),
        ]

    def __str__(self) -> str:
        return f"what {self.submission_id} resembles"
