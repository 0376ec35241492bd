"""Challenges with their rules and benchmarks, base models, the register of data, codes of findings."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from evaluation.benchmarks import BENCHMARKS, Benchmark
from evaluation.findings.catalogue import AREA_OF
from evaluation.findings.kinds import FindingKind
from evaluation.rules import Rules
from portal.api.findings import help_address
from portal.api.serializers.common import SEVERITY_CHOICES
from portal.runs.data_register import Line
from portal.submissions.models import BaseModel


class ChallengeSerializer(serializers.Serializer[Rules]):
    """A challenge under the first protocol that the site evaluates new submissions under."""

    slug = serializers.CharField(source="challenge.slug")
    title = serializers.CharField(source="challenge.title")
    summary = serializers.CharField(source="challenge.summary")
    protocol = serializers.IntegerField(source="protocol.number", help_text="New entries are checked by it")
    protocols = serializers.SerializerMethodField(
        help_text="New entries are evaluated under each; the board of the first comes first"
    )
    benchmarks = serializers.ListField(child=serializers.CharField())
    training_sets = serializers.ListField(child=serializers.CharField())
    former_training_sets = serializers.ListField(
        child=serializers.CharField(), help_text="The same data under former names, taken with a note"
    )
    clients = serializers.IntegerField(help_text="The fixed number of SuperNodes")
    baseline_clients_per_round = serializers.IntegerField(source="challenge.baseline_clients_per_round")
    communication_budget_bytes = serializers.IntegerField()
    max_base_parameters = serializers.IntegerField(help_text="The limit on the size of base models")

    def get_protocols(self, rules: Rules) -> list[int]:
        return list(settings.LEADERBOARD_PROTOCOLS)


class BenchmarkSerializer(serializers.Serializer[Benchmark]):
    slug = serializers.CharField()
    title = serializers.CharField()
    source = serializers.CharField(help_text="Data set and split")  # type: ignore[assignment] # the field's name
    metric = serializers.ChoiceField(["accuracy", "pass@1"])
    items = serializers.IntegerField(source="rows")
    labels = serializers.ListField(child=serializers.CharField(), help_text="Empty where code is written")
    remark = serializers.CharField(help_text="What readers of a score should know of the data")


class ChallengeDetailSerializer(ChallengeSerializer):
    rules = serializers.SerializerMethodField(help_text="In sentences")
    benchmark_details = serializers.SerializerMethodField()

    def get_rules(self, rules: Rules) -> list[str]:
        return [
            f"The static section names the data set {' or '.join(rules.training_sets)} and nothing else.",
            f"The base model has at most {rules.max_base_parameters:,} parameters.",
            f"The run has {rules.clients} SuperNodes.",
            f"All messages of a run together, both directions, adapter tensors only, stay within "
            f"{rules.communication_budget_bytes:,} bytes.",
            "The last PEFT checkpoint of the run is what is evaluated.",
            f"The score is the plain mean over {', '.join(rules.benchmarks)}.",
        ]

    def get_benchmark_details(self, rules: Rules) -> list[dict[str, Any]]:
        return [dict(BenchmarkSerializer(BENCHMARKS[slug]).data) for slug in rules.benchmarks]


class BaseModelSerializer(serializers.ModelSerializer[BaseModel]):
    aliases = serializers.ListField(
        source="other_names", child=serializers.CharField(), help_text="Other names of this very model"
    )

    class Meta:
        model = BaseModel
        fields = ["hub_id", "revision", "parameters", "context_length", "licence", "aliases"]


class DataLineSerializer(serializers.Serializer[Line]):
    name = serializers.CharField(help_text="A benchmark, or the hub id of a training set")
    holds = serializers.ChoiceField(["benchmark", "training set"])
    dataset = serializers.CharField(help_text="On the hub")
    basis = serializers.ChoiceField(
        ["project", "register"],
        allow_null=True,
        help_text="Whether the digest is part of this software or was recorded on this site; null where "
        "there is none, and then no score is official",
    )
    commit = serializers.CharField(allow_null=True, help_text="Of the data set")
    rows = serializers.IntegerField(allow_null=True, help_text="Items of the benchmark, rows of the set")
    digest = serializers.CharField(allow_null=True, help_text="SHA-256 over the columns that are read")
    adopted_by = serializers.CharField(help_text="Empty where the rows were taken at first sight")
    registered_at = serializers.DateTimeField(allow_null=True)


class FindingKindSerializer(serializers.Serializer[FindingKind]):
    code = serializers.CharField(help_text="Stable; programs may rely on it")
    area = serializers.SerializerMethodField(help_text="The part of the checks that reports it")
    severities = serializers.ListField(
        child=serializers.ChoiceField(SEVERITY_CHOICES),
        help_text="That findings of this code may have, the gravest first",
    )
    title = serializers.CharField()
    explanation = serializers.CharField(help_text="What it means and why it matters")
    remedy = serializers.CharField(help_text="What to do next")
    example = serializers.CharField(help_text="A location at which it may be; empty for the whole submission")
    help = serializers.SerializerMethodField(help_text="The page that explains it")

    def get_area(self, kind: FindingKind) -> str:
        return AREA_OF[kind.code].slug

    @extend_schema_field({"type": "string", "format": "uri"})
    def get_help(self, kind: FindingKind) -> str:
        return help_address(kind.code, self.context["request"])


class BaseModelDetailSerializer(BaseModelSerializer):
    tensors = serializers.JSONField(
        help_text="What an adapter has to fit: `shapes` of the weights by name, `model_type` and "
        "`tie_word_embeddings` as in config.json; `digests` of its embeddings and output head"
    )

    class Meta(BaseModelSerializer.Meta):
        fields = [*BaseModelSerializer.Meta.fields, "tensors"]
