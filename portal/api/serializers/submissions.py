"""Submissions as the API shows them, to their teams and to everybody else."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.utils.functional import cached_property
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from portal.accounts.access import sees_all
from portal.api.serializers.common import CHALLENGE_CHOICES, FindingSerializer, QuerySerializer
from portal.api.serializers.evaluations import EvaluationSerializer
from portal.intake.services import closes_at
from portal.runs.models import Evaluation
from portal.submissions.models import DeclaredScore, HubFetch, Resource, Submission


class ResourceSerializer(serializers.ModelSerializer[Resource]):
    unit = serializers.CharField(read_only=True, help_text="B, s, J or empty for a count")

    class Meta:
        model = Resource
        fields = ["kind", "value", "unit", "basis"]


class DeclaredScoreSerializer(serializers.ModelSerializer[DeclaredScore]):
    value = serializers.FloatField(help_text="Fraction of the items, 0 to 1")
    percent = serializers.CharField(help_text="As it was printed")

    class Meta:
        model = DeclaredScore
        fields = ["benchmark", "value", "percent"]


class HubFetchSerializer(serializers.ModelSerializer[HubFetch]):
    waiting_for = serializers.CharField(help_text="What is away that it needs; empty where nothing is")
    next_try_at = serializers.DateTimeField(
        source="waits_until", allow_null=True, help_text="While it waits for that"
    )

    class Meta:
        model = HubFetch
        fields = [
            "repository",
            "revision",
            "subfolder",
            "status",
            "send",
            "waiting_for",
            "waiting_since",
            "next_try_at",
        ]


class SummarySerializer(serializers.ModelSerializer[Submission]):
    """A submission in a list."""

    url = serializers.SerializerMethodField(help_text="The submission's page")
    team = serializers.CharField(source="team.name")
    team_id = serializers.IntegerField()
    base_model = serializers.CharField(source="base_model.hub_id")
    checkpoint = serializers.CharField(
        source="checkpoint.sha256", allow_null=True, default=None, help_text="SHA-256 of the adapter"
    )

    training_data = serializers.CharField(
        source="stated_training_data",
        help_text="What it was trained on, as its team states, of reference entries this site; empty where "
        "nothing is stated",
    )
    not_trained_on_test_items = serializers.SerializerMethodField(
        help_text="Whether it is stated that no test item of the benchmarks was trained on"
    )

    class Meta:
        model = Submission
        fields = [
            "id",
            "url",
            "status",
            "challenge",
            "kind",
            "method",
            "team",
            "team_id",
            "base_model",
            "checkpoint",
            "origin",
            "description",
            "paper_url",
            "code_url",
            "repeats",
            "training_data",
            "not_trained_on_test_items",
            "created_at",
            "edited_at",
            "sent_at",
            "status_changed_at",
            "published_at",
        ]
        extra_kwargs = {
            "repeats": {
                "help_text": "The first run of its method, where it is another that differs in its seed; for "
                "readers null, too, where that one is not public"
            },
            "status": {"help_text": "`received` is a draft: it may be changed until it is sent"},
        }

    def to_representation(self, submission: Submission) -> dict[str, Any]:
        """The origin may be a private repository: it is for the team and staff, as is what is not public."""
        body: dict[str, Any] = super().to_representation(submission)
        if not self.is_for_insider(submission):
            body["origin"] = ""
            if submission.repeats and submission.repeats.status not in Submission.PUBLIC:
                body["repeats"] = None
        return body

    def is_for_insider(self, submission: Submission) -> bool:
        """Whether the reader sees everything of a submission: staff and the members of its team."""
        return sees_all(self.context["request"].user) or submission.team_id in self._teams

    @cached_property
    def _teams(self) -> set[int]:
        """The reader's teams, asked for once and not with every row."""
        user = self.context["request"].user
        return set(user.teams.values_list("pk", flat=True)) if user.is_authenticated else set()

    def get_not_trained_on_test_items(self, submission: Submission) -> bool:
        return bool(submission.stated_training_data)

    def get_url(self, submission: Submission) -> str:
        return str(self.context["request"].build_absolute_uri(submission.get_absolute_url()))


class SubmissionSerializer(SummarySerializer):
    """A submission with all that belongs to it; the context has the request."""

    findings = FindingSerializer(many=True, help_text="For the team and staff")
    resources = ResourceSerializer(many=True)
    declared_scores = DeclaredScoreSerializer(many=True)
    method_card = serializers.DictField(
        allow_null=True, help_text="What pyproject.toml says of the method; null until it was read"
    )
    hub = serializers.SerializerMethodField(help_text="Where a draft's files come from, to the team")
    smoke_run = serializers.BooleanField(help_text="Whether a smoke run comes before the evaluation in full")
    overlap = serializers.DictField(
        allow_null=True,
        help_text="N-grams that the declared training data share with test items, by the team's report",
    )
    decide_by = serializers.DateTimeField(
        allow_null=True,
        help_text="`tried`: until when the team goes on in full by POST …/evaluate/; then it is withdrawn",
    )
    expires_at = serializers.SerializerMethodField(
        help_text="When a draft that nobody touches is deleted, or closed where changes were asked for"
    )
    evaluations = EvaluationSerializer(many=True, help_text="To others than the team, only finished ones")

    class Meta(SummarySerializer.Meta):
        fields = [
            *SummarySerializer.Meta.fields,
            "expires_at",
            "smoke_run",
            "overlap",
            "decide_by",
            "hub",
            "method_card",
            "findings",
            "resources",
            "declared_scores",
            "evaluations",
        ]

    def to_representation(self, submission: Submission) -> dict[str, Any]:
        """What the reader may see: findings and unsuccessful evaluations are for the team and staff."""
        body: dict[str, Any] = super().to_representation(submission)
        if not self.is_for_insider(submission):
            # Those of imported entries are part of what the board shows of them.
            if submission.kind != Submission.Kind.IMPORTED:
                body["findings"] = []
            body["hub"] = None
            shown = {e.pk for e in submission.evaluations.all() if _is_public(e, submission)}
            body["evaluations"] = [e for e in body["evaluations"] if e["id"] in shown]
        return body

    @extend_schema_field(HubFetchSerializer(allow_null=True))
    def get_hub(self, submission: Submission) -> dict[str, Any] | None:
        fetch = HubFetch.objects.filter(submission=submission).first()
        return dict(HubFetchSerializer(fetch).data) if fetch else None

    def get_expires_at(self, submission: Submission) -> datetime | None:
        return closes_at(submission)


def _is_public(evaluation: Evaluation, submission: Submission) -> bool:
    """Not of an adapter that was changed before the entry became public."""
    is_of_entry = evaluation.checkpoint_id in (None, submission.checkpoint_id)
    return is_of_entry and evaluation.status == Evaluation.Status.SUCCEEDED


class SubmissionFilter(QuerySerializer):
    """The query parameters of the list; several statuses may be named."""

    challenge = serializers.ChoiceField(CHALLENGE_CHOICES, required=False)
    status = serializers.MultipleChoiceField(choices=Submission.Status.choices, required=False)
    team = serializers.CharField(required=False, max_length=200, help_text="A team's name")
    mine = serializers.BooleanField(required=False, help_text="Only those of your teams")
    base_model = serializers.CharField(required=False, max_length=120, help_text="A hub id")
    created_after = serializers.DateTimeField(required=False)
    created_before = serializers.DateTimeField(required=False)
