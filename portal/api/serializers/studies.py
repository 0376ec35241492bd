"""Studies as the API shows them."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from portal.baselines.studies.exports import as_data
from portal.baselines.studies.table import Table
from portal.runs.models import Study


class StudySummarySerializer(serializers.ModelSerializer[Study]):
    """A study in a list."""

    url = serializers.SerializerMethodField(help_text="The study's page")

    class Meta:
        model = Study
        fields = ["id", "url", "title", "priority", "started_at"]

    def get_url(self, study: Study) -> str:
        return str(self.context["request"].build_absolute_uri(study.get_absolute_url()))


class StudyScoreSerializer(serializers.Serializer[Any]):
    """The mean over a cell's scored seeds; fractions."""

    value = serializers.FloatField()
    interval = serializers.ListField(
        child=serializers.FloatField(), help_text="95%, over items and seeds; of one seed over items alone"
    )
    seeds = serializers.IntegerField()
    spread = serializers.FloatField(allow_null=True, help_text="Standard deviation of the seeds' averages")


class StudyRunSerializer(serializers.Serializer[Any]):
    """The run that counts for a cell and a seed."""

    seed = serializers.IntegerField()
    run = serializers.IntegerField(help_text="The baseline run")
    stage = serializers.CharField(help_text="waiting, training, scoring, scored or over")
    entry = serializers.IntegerField(allow_null=True)
    public = serializers.BooleanField()
    average = serializers.FloatField(allow_null=True)
    bytes = serializers.FloatField(allow_null=True)
    seconds = serializers.FloatField(allow_null=True)
    energy_joules = serializers.FloatField(allow_null=True)
    rows = serializers.CharField(help_text="official, or why the score is not")
    scores = serializers.DictField(child=serializers.FloatField(), help_text="By benchmark")


class StudyCellSerializer(serializers.Serializer[Any]):
    """A place of the table; costs are means over its seeds."""

    number = serializers.IntegerField()
    base_model = serializers.CharField()
    challenge = serializers.CharField()
    strategy = serializers.CharField()
    adapter = serializers.CharField()
    partition = serializers.CharField()
    score = StudyScoreSerializer(allow_null=True)
    best = serializers.BooleanField(help_text="The highest on its base model and challenge")
    level_with_best = serializers.BooleanField(
        allow_null=True, help_text="Whether the paired interval of the difference to the best has 0 in it"
    )
    bytes = serializers.FloatField(allow_null=True)
    seconds = serializers.FloatField(allow_null=True)
    energy_joules = serializers.FloatField(allow_null=True)
    runs = StudyRunSerializer(many=True)


class StudySerializer(serializers.Serializer[Any]):
    """A study with its plan and its table, as the file `study.json` has it."""

    id = serializers.IntegerField()
    title = serializers.CharField()
    started_at = serializers.DateTimeField()
    priority = serializers.IntegerField()
    under_way = serializers.BooleanField()
    runs = serializers.IntegerField(help_text="Of the whole plan")
    runs_by_stage = serializers.DictField(child=serializers.IntegerField())
    plan = serializers.CharField(help_text="TOML, as it was written")
    plan_sha256 = serializers.CharField()
    cells = StudyCellSerializer(many=True)

    def to_representation(self, table: Table) -> dict[str, Any]:
        return as_data(table)
