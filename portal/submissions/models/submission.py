"""What people submit, from the draft to its place on the board."""

from __future__ import annotations

from datetime import datetime, timedelta

import pghistory
import pgtrigger
from django.conf import settings
from django.db import models
from django.db.models import Q
from django.urls import reverse
from django.utils import timezone

from evaluation.rules.challenges import CHALLENGES
from portal.accounts.access import sees_all
from portal.accounts.models import Team
from portal.submissions import training_data
from portal.submissions.models.checkpoint import BaseModel, Checkpoint


class SubmissionQuerySet(models.QuerySet["Submission"]):
    def visible_to(self, user: object) -> SubmissionQuerySet:
        """Published ones, those of the user's teams, and for staff all."""
        if sees_all(user):
            return self
        public = Q(status__in=Submission.PUBLIC)
        if getattr(user, "is_authenticated", False):
            return self.filter(public | Q(team__memberships__user=user)).distinct()
        return self.filter(public)

    def of_member(self, user: object) -> SubmissionQuerySet:
        return self.filter(team__memberships__user=user).distinct()


_PUBLISHED_TEXT = ("method", "description", "paper_url", "code_url", "published_at", "source_date")
# What is evaluated: a draft may change it, nothing else.
_CONTENT = (
    "challenge",
    "base_model_id",
    "checkpoint_id",
    "adapter_config_text",
    "config_text",
    "method_card",
    "origin",
    "flower_run_text",
    "smoke_run",
    "repeats_id",
    "training_data",
    "not_trained_on_test_items",
    "overlap",
    "sent_at",
)
_TRANSITIONS = [
    ("received", "queued"),
    ("received", "invalid"),
    ("received", "withdrawn"),
    ("received", "in_review"),
    ("queued", "evaluating"),
    ("queued", "withdrawn"),
    ("evaluating", "queued"),
    ("evaluating", "in_review"),
    ("evaluating", "tried"),
    ("tried", "queued"),
    ("tried", "withdrawn"),
    ("evaluating", "failed"),
    ("evaluating", "withdrawn"),
    ("failed", "queued"),
    ("failed", "withdrawn"),
    ("in_review", "queued"),
    ("in_review", "evaluating"),
    ("in_review", "published"),
    ("in_review", "rejected"),
    ("in_review", "received"),
    ("in_review", "withdrawn"),
    ("rejected", "in_review"),
    ("published", "withdrawn"),
    ("published", "disqualified"),
    ("disqualified", "published"),
]


# What stays when reviewers ask for changes, and a submission is a draft again.
_FIXED_ONCE_SENT = ("challenge", "base_model_id")


def _changes(*columns: str) -> str:
    return "(" + " OR ".join(f'OLD."{name}" IS DISTINCT FROM NEW."{name}"' for name in columns) + ")"


@pghistory.track(
    pghistory.InsertEvent(),
    pghistory.UpdateEvent(condition=pgtrigger.AnyChange("status")),
    fields=["status", "status_changed_at"],
    model_name="StatusEvent",
    append_only=True,
)
class Submission(models.Model):
    """An entry for one challenge, from its arrival to its place on the board."""

    class Status(models.TextChoices):
        RECEIVED = "received", "draft"
        QUEUED = "queued", "queued"
        EVALUATING = "evaluating", "evaluating"
        TRIED = "tried", "smoke run done"
        IN_REVIEW = "in_review", "in review"
        PUBLISHED = "published", "published"
        INVALID = "invalid", "invalid"
        FAILED = "failed", "failed"
        REJECTED = "rejected", "rejected"
        WITHDRAWN = "withdrawn", "withdrawn"
        DISQUALIFIED = "disqualified", "disqualified"

    class Kind(models.TextChoices):
        COMMUNITY = "community"
        REFERENCE = "reference"
        IMPORTED = "imported"

    DECISION_TIME = timedelta(days=7)
    """So long one waits for its team after a smoke run; then it is withdrawn."""

    PUBLIC = (Status.PUBLISHED, Status.DISQUALIFIED)
    SETTLED = (
        Status.PUBLISHED,
        Status.INVALID,
        Status.FAILED,
        Status.REJECTED,
        Status.WITHDRAWN,
        Status.DISQUALIFIED,
    )

    team = models.ForeignKey(Team, on_delete=models.PROTECT, related_name="submissions")
    submitter = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="submissions"
    )
    challenge = models.CharField(max_length=20, choices=[(c.slug, c.title) for c in CHALLENGES.values()])
    kind = models.CharField(max_length=10, choices=Kind.choices, default=Kind.COMMUNITY)
    method = models.CharField(max_length=80, help_text="Name of the method, as the board shows it")
    description = models.TextField(blank=True, max_length=4000)
    paper_url = models.URLField(blank=True)
    code_url = models.URLField(blank=True)
    base_model = models.ForeignKey(BaseModel, on_delete=models.PROTECT, related_name="submissions")
    checkpoint = models.ForeignKey(
        Checkpoint, null=True, on_delete=models.PROTECT, related_name="submissions"
    )
    adapter_file = models.FileField(
        max_length=200, blank=True, help_text="A draft's adapter, until it is sent and a checkpoint has it"
    )
    adapter_config_text = models.TextField(blank=True, help_text="adapter_config.json, as sent")
    config_text = models.TextField(blank=True, help_text="pyproject.toml of the Flower app, as sent")
    flower_run_text = models.TextField(
        blank=True, help_text="What Flower recorded of the run (flwr list --format json), as sent"
    )
    method_card = models.JSONField(null=True, help_text="What config_text says of the method")
    origin = models.CharField(
        max_length=400, blank=True, help_text="repository@commit on the hub that the files came from"
    )
    smoke_run = models.BooleanField(
        default=False, help_text="Its team wants to see a smoke run before it is evaluated in full"
    )
    repeats = models.ForeignKey(
        "self",
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name="repeated_by",
        help_text="The first run of the same method: this one differs from it in its seed",
    )
    training_data = models.TextField(
        blank=True, max_length=training_data.MAX_LENGTH, help_text="What it was trained on, as its team says"
    )
    not_trained_on_test_items = models.BooleanField(
        default=False, help_text="Its team states that no test item of the benchmarks was trained on"
    )
    overlap = models.JSONField(
        null=True, help_text="N-grams that its declared training data share with benchmarks, by its report"
    )
    import_digest = models.CharField(
        max_length=64, blank=True, editable=False, help_text="Of the row that an imported entry came from"
    )
    status = models.CharField(max_length=12, choices=Status.choices, default=Status.RECEIVED)
    status_changed_at = models.DateTimeField(default=timezone.now, editable=False)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    edited_at = models.DateTimeField(default=timezone.now, editable=False)
    sent_at = models.DateTimeField(null=True, editable=False)
    published_at = models.DateTimeField(null=True, editable=False)
    source_date = models.DateField(
        null=True, editable=False, help_text="The day that an imported entry's board gives for it"
    )
    source_place = models.PositiveIntegerField(
        null=True, editable=False, help_text="The place that an imported entry has on its board"
    )
    source_url = models.URLField(blank=True, editable=False, help_text="The board of an imported entry")

    objects = SubmissionQuerySet.as_manager()

    class Meta:
        ordering = ["-created_at", "-pk"]
        indexes = [
            models.Index(fields=["challenge", "status"], name="submission_board"),
            models.Index(fields=["team", "-created_at"], name="submission_team"),
        ]
        permissions = [("submit_reference", "Can submit reference entries with measured resources")]
        constraints = [
            models.CheckConstraint(
                condition=Q(challenge__in=list(CHALLENGES)), name="submission_challenge_known"
            ),
            models.CheckConstraint(
                condition=Q(checkpoint__isnull=False)
                | Q(kind__in=["reference", "imported"])
                | Q(status="received"),
                name="submission_has_checkpoint",
            ),
            models.CheckConstraint(
                condition=Q(status="received") | Q(adapter_file=""), name="submission_file_while_draft"
            ),
            models.CheckConstraint(
                condition=~Q(kind="imported")
                | Q(checkpoint=None, status__in=["published", "disqualified", "withdrawn"]),
                name="submission_imported_is_only_declared",
            ),
            models.UniqueConstraint(
                fields=["import_digest"], condition=~Q(import_digest=""), name="submission_imported_once"
            ),
            models.CheckConstraint(
                condition=Q(status__in=["published", "disqualified", "withdrawn"]) | Q(published_at=None),
                name="submission_published_at_only_when_public",
            ),
            models.CheckConstraint(
                condition=~Q(status="published") | Q(published_at__isnull=False),
                name="submission_published_has_date",
            ),
            models.CheckConstraint(
                condition=Q(source_date=None) | Q(kind="imported"), name="submission_source_date_imported"
            ),
            models.CheckConstraint(condition=~Q(method=""), name="submission_method_named"),
            models.CheckConstraint(
                condition=Q(repeats=None) | ~Q(repeats=models.F("pk")), name="submission_repeats_another"
            ),
        ]
        triggers = [
            pgtrigger.FSM(name="submission_status", field="status", transitions=_TRANSITIONS),
            pgtrigger.ReadOnly(
                name="submission_identity", fields=["kind", "submitter", "created_at", "import_digest"]
            ),
            pgtrigger.Protect(
                name="submission_content",
                operation=pgtrigger.Update,
                condition=pgtrigger.Condition(f"OLD.status <> 'received' AND {_changes(*_CONTENT)}"),
            ),
            pgtrigger.Protect(
                # An imported entry is handed over to the team that it turns out to belong to.
                name="submission_team",
                operation=pgtrigger.Update,
                condition=pgtrigger.Condition(
                    "OLD.kind <> 'imported' AND OLD.team_id <> NEW.team_id"
                    " AND (OLD.status <> 'received' OR OLD.sent_at IS NOT NULL)"
                ),
            ),
            pgtrigger.Protect(
                name="submission_fixed_once_sent",
                operation=pgtrigger.Update,
                condition=pgtrigger.Condition(f"OLD.sent_at IS NOT NULL AND {_changes(*_FIXED_ONCE_SENT)}"),
            ),
            pgtrigger.Protect(
                name="submission_review_after_sending",
                operation=pgtrigger.Update,
                condition=pgtrigger.Condition(
                    "OLD.status = 'received' AND NEW.status = 'in_review' AND OLD.sent_at IS NULL"
                ),
            ),
            pgtrigger.Protect(
                name="submission_published_text",
                operation=pgtrigger.Update,
                condition=pgtrigger.Condition(
                    f"OLD.status IN ('published', 'disqualified') AND {_changes(*_PUBLISHED_TEXT)}"
                ),
            ),
            pgtrigger.Protect(
                name="submission_only_drafts_deleted",
                operation=pgtrigger.Delete,
                condition=pgtrigger.Condition("OLD.status <> 'received' OR OLD.sent_at IS NOT NULL"),
            ),
        ]

    def __str__(self) -> str:
        return f"#{self.pk} {self.method}"

    def get_absolute_url(self) -> str:
        return reverse("submissions:detail", args=[self.pk])

    @property
    def decide_by(self) -> datetime | None:
        """Until when its team may say whether it is evaluated in full; None where that is not asked."""
        return self.status_changed_at + self.DECISION_TIME if self.status == self.Status.TRIED else None

    @property
    def stated_training_data(self) -> str:
        """What it was trained on, by the statement of its team or of this site; "" where none was made."""
        if self.kind == self.Kind.REFERENCE:
            return training_data.BY_THE_SITE if self.checkpoint_id else training_data.UNTUNED
        return self.training_data if self.not_trained_on_test_items else ""

    @property
    def is_returned(self) -> bool:
        """Whether it is a draft again because reviewers asked for changes."""
        return self.status == self.Status.RECEIVED and self.sent_at is not None

    @property
    def is_settled(self) -> bool:
        """Whether nothing more happens by itself."""
        return self.status in self.SETTLED
