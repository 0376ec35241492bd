"""What was said about a submission."""

from __future__ import annotations

import pgtrigger
from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone

from portal.submissions.models import Submission


class Message(models.Model):
    """A message of a submission's thread. What was said stays as it was said."""

    LONGEST = 4000

    submission = models.ForeignKey(Submission, on_delete=models.PROTECT, related_name="messages")
    author = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="messages")
    from_reviewer = models.BooleanField(help_text="Written for the site, not for the team")
    is_note = models.BooleanField(default=False, help_text="Among reviewers: the team does not see it")
    text = models.TextField(max_length=LONGEST)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        ordering = ["pk"]
        constraints = [
            models.CheckConstraint(
                condition=Q(is_note=False) | Q(from_reviewer=True), name="message_notes_are_reviewers"
            ),
            models.CheckConstraint(condition=~Q(text=""), name="message_says_something"),
        ]
        triggers = [
            pgtrigger.Protect(name="message_append_only", operation=pgtrigger.Update | pgtrigger.Delete)
        ]

    def __str__(self) -> str:
        return f"message on #{self.submission_id} by {self.author}"
