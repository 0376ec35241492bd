"""Evaluations as the API shows them: progress, scores and where their items are."""

from __future__ import annotations

from typing import Any

from django.urls import reverse
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from portal.api.serializers.common import QuerySerializer
from portal.intake.progress import progress_of
from portal.runs.models import Evaluation, LogLine, Score

DOMAIN = (
    "The challenge whose benchmarks are asked, where that is not the submission's own board's, else empty"
)


class ScoreSerializer(serializers.ModelSerializer[Score]):
    items = serializers.SerializerMethodField(help_text="Address of the single answers, as JSON lines")

    class Meta:
        model = Score
        fields = [
            "benchmark",
            "value",
            "standard_error",
            "n",
            "correct",
            "unscored",
            "data",
            "data_digest",
            "official",
            "unofficial_reasons",
            "seconds",
            "tokens",
            "tokens_per_second",
            "energy_joules",
            "energy_net_joules",
            "energy_method",
            "items",
        ]
        extra_kwargs = {
            "unofficial_reasons": {"help_text": "Why it is no official score, in sentences"},
            "tokens": {"help_text": "Of prompts and answers together"},
            "energy_joules": {
                "help_text": "What the devices used while generating, idle draw too; null without a meter"
            },
            "energy_net_joules": {"help_text": "The same above what the devices draw when idle"},
        }

    unofficial_reasons = serializers.ListField(child=serializers.CharField())

    @extend_schema_field({"type": ["string", "null"], "format": "uri"})
    def get_items(self, score: Score) -> str | None:
        if not score.items:
            return None
        path = reverse("api-items", args=[score.evaluation_id, score.benchmark])
        return str(self.context["request"].build_absolute_uri(path))


class IntervalSerializer(serializers.Serializer[Any]):
    earliest = serializers.DateTimeField()
    latest = serializers.DateTimeField()


class ProgressSerializer(serializers.Serializer[Any]):
    phase = serializers.CharField()
    benchmark = serializers.CharField()
    done = serializers.IntegerField()
    total = serializers.IntegerField()
    rate = serializers.FloatField(allow_null=True, help_text="Items a second")
    seconds_left = serializers.FloatField(allow_null=True)
    benchmarks_done = serializers.IntegerField()
    benchmarks_total = serializers.IntegerField()
    queue_position = serializers.IntegerField(allow_null=True, help_text="1 is next")
    expected_start = IntervalSerializer(
        allow_null=True, help_text="Of a queued one, by what similar evaluations took; null while unknown"
    )
    expected_end = IntervalSerializer(allow_null=True, help_text="Null while unknown")
    expectation = serializers.CharField(help_text="The same in words, or what hinders it")


class LogLineSerializer(serializers.ModelSerializer[LogLine]):
    class Meta:
        model = LogLine
        fields = ["number", "at", "level", "text"]
        extra_kwargs = {"number": {"help_text": "Rising; `after` names the last one that is known"}}


class LogFilter(QuerySerializer):
    """The query parameters of a log."""

    after = serializers.IntegerField(required=False, min_value=0, help_text="Only lines with higher numbers")


class LogSerializer(serializers.Serializer[Any]):
    """An evaluation's log, for its team and staff."""

    status = serializers.ChoiceField(Evaluation.Status.choices, help_text="Of the evaluation")
    lines = LogLineSerializer(many=True)


class EvaluationSerializer(serializers.ModelSerializer[Evaluation]):
    scores = ScoreSerializer(many=True)
    progress = serializers.SerializerMethodField(help_text="While it is queued or runs")
    smoke_run = serializers.BooleanField(help_text="Few items, for its team alone; it ends as `tried`")
    purpose = serializers.ChoiceField(
        Evaluation.Purpose.choices, help_text="What is not for the board ends as `measured`"
    )
    domain = serializers.CharField(help_text=DOMAIN)
    waiting_for = serializers.CharField(help_text="What is away that it needs; empty where nothing is")
    next_try_at = serializers.DateTimeField(
        source="waits_until", allow_null=True, help_text="While it waits for that"
    )
    provenance = serializers.DictField(help_text="Engine, its kernels, precision, versions, hardware")

    class Meta:
        model = Evaluation
        fields = [
            "id",
            "submission",
            "status",
            "protocol",
            "smoke_run",
            "purpose",
            "domain",
            "round",
            "attempts",
            "progress",
            "scores",
            "waiting_for",
            "waiting_since",
            "next_try_at",
            "error_code",
            "error_message",
            "provenance",
            "queued_at",
            "started_at",
            "finished_at",
        ]

    @extend_schema_field(ProgressSerializer(allow_null=True))
    def get_progress(self, evaluation: Evaluation) -> dict[str, Any] | None:
        progress = progress_of(evaluation)
        return ProgressSerializer(progress).data if progress else None
