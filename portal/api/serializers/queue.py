"""The queue as the API shows it."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from portal.api.serializers.evaluations import DOMAIN, IntervalSerializer
from portal.intake.queue_page import Row
from portal.runs.models import Evaluation

_UNSEEN = "Null where the reader may not see the submission"


class QueueRowSerializer(serializers.Serializer[Row]):
    submission = serializers.SerializerMethodField(help_text=_UNSEEN)
    method = serializers.SerializerMethodField(help_text=_UNSEEN)
    team = serializers.SerializerMethodField(help_text=_UNSEEN)
    challenge = serializers.CharField(source="evaluation.submission.challenge")
    protocol = serializers.IntegerField(source="evaluation.protocol")
    smoke_run = serializers.BooleanField(source="evaluation.smoke_run")
    purpose = serializers.ChoiceField(Evaluation.Purpose.choices, source="evaluation.purpose")
    domain = serializers.CharField(source="evaluation.domain", help_text=DOMAIN)
    status = serializers.ChoiceField(Evaluation.Status.choices, source="evaluation.status")
    position = serializers.IntegerField(allow_null=True, help_text="1 is next")
    expected_start = IntervalSerializer(source="start", allow_null=True, help_text="Null while unknown")
    expected_end = IntervalSerializer(source="end", allow_null=True, help_text="Null while unknown")
    expectation = serializers.CharField(help_text="The same in words, or what hinders it")
    benchmarks_done = serializers.IntegerField()
    benchmarks_total = serializers.IntegerField()
    queued_at = serializers.DateTimeField(source="evaluation.queued_at")
    started_at = serializers.DateTimeField(source="evaluation.started_at", allow_null=True)
    finished_at = serializers.DateTimeField(source="evaluation.finished_at", allow_null=True)

    @extend_schema_field({"type": ["integer", "null"]})
    def get_submission(self, row: Row) -> int | None:
        return row.submission.pk if row.submission else None

    @extend_schema_field({"type": ["string", "null"]})
    def get_method(self, row: Row) -> str | None:
        return row.submission.method if row.submission else None

    @extend_schema_field({"type": ["string", "null"]})
    def get_team(self, row: Row) -> str | None:
        return row.submission.team.name if row.submission else None


class QueueSerializer(serializers.Serializer[Any]):
    closed = serializers.CharField(
        help_text="Why nothing is begun, as during maintenance, for people; empty as a rule. What is sent "
        "meanwhile is kept"
    )
    workers = serializers.IntegerField(help_text="That are running")
    worker_last_seen = serializers.DateTimeField(source="last_seen", allow_null=True)
    running = QueueRowSerializer(many=True)
    waiting = QueueRowSerializer(many=True, help_text="The next ones in order, and one's own")
    waiting_total = serializers.IntegerField()
    came_out = QueueRowSerializer(many=True, help_text="Of the last days, the latest first")
