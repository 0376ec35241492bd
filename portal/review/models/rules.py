"""What editors and operators keep for the desk: which decisions need two, and templates of reasons."""

from __future__ import annotations

from django.db import models
from django.db.models import Q

from portal.review.models.decision import Decision


class TwoPersonRule(models.Model):
    """A decision that takes effect only when a second reviewer agrees, where there is one who may.

    `top` narrows it to entries that are, or by their scores would be, among the first of their board.
    """

    action = models.CharField(
        max_length=10,
        unique=True,
        choices=[
            (action.value, action.label)
            for action in (Decision.Action.PUBLISH, Decision.Action.DISQUALIFY, Decision.Action.REINSTATE)
        ],
    )
    top = models.PositiveSmallIntegerField(
        null=True, blank=True, help_text="Only for the first places of a board; empty for all"
    )

    class Meta:
        ordering = ["action"]
        constraints = [
            models.CheckConstraint(
                condition=Q(action__in=["publish", "disqualify", "reinstate"]), name="two_person_rule_known"
            ),
            models.CheckConstraint(condition=Q(top=None) | Q(top__gt=0), name="two_person_rule_top"),
        ]

    def __str__(self) -> str:
        return f"{self.action}{f', first {self.top}' if self.top else ''}"


class ReasonTemplate(models.Model):
    """A reason that reviewers start from; what they make of it stands in the decision."""

    action = models.CharField(
        max_length=10,
        choices=[(action.value, action.label) for action in Decision.NEEDS_REASON],
    )
    title = models.CharField(max_length=80, help_text="What reviewers choose by")
    text = models.TextField(help_text="What is put into the reason, to be completed")
    active = models.BooleanField(default=True, help_text="Offered to reviewers")

    class Meta:
        ordering = ["action", "title"]
        constraints = [
            models.UniqueConstraint(fields=["action", "title"], name="reason_template_once"),
        ]

    def __str__(self) -> str:
        return self.title
