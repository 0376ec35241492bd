"""Baseline runs as the API shows and takes them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from evaluation.errors import EvaluationError
from evaluation.federated import presets
from evaluation.federated.config import FederatedConfig
from evaluation.method.strategies import STRATEGIES
from evaluation.rules.challenges import CHALLENGES
from portal.accounts.access import sees_all, trains_here
from portal.accounts.models import User
from portal.api.serializers.common import CHALLENGE_CHOICES, QuerySerializer, StrictSerializer
from portal.baselines import method_cards, services
from portal.baselines.benchmark_curve import WORDS, curve_of
from portal.baselines.training_rows import rows_of
from portal.runs.models import BaselineRun, RoundMetric
from portal.submissions.models import BaseModel, Submission

# What the request says by names of its own.
_ELSEWHERE = ("challenge", "model", "base_model_id", "train_data")


class RoundSerializer(serializers.ModelSerializer[RoundMetric]):
    clients = serializers.ListField(child=serializers.IntegerField())
    failures = serializers.ListField(
        child=serializers.DictField(), help_text="`client` and `reason` of those that were left out"
    )
    client_losses = serializers.ListField(
        child=serializers.DictField(), help_text="`client` and `loss` on its own held-out rows"
    )

    class Meta:
        model = RoundMetric
        fields = [
            "round",
            "clients",
            "failures",
            "examples",
            "learning_rate",
            "train_loss",
            "held_out_loss",
            "client_losses",
            "bytes_down",
            "bytes_up",
            "train_seconds",
            "aggregate_seconds",
            "communicate_seconds",
            "seconds",
            "simulated_time",
            "client_peak_rss_bytes",
            "client_peak_vram_bytes",
            "server_peak_rss_bytes",
            "energy_joules",
            "energy_net_joules",
            "energy_method",
            "gpu_seconds",
            "epsilon",
            "recorded_at",
        ]


class CurveRowSerializer(serializers.Serializer[Any]):
    """A round whose adapter was kept; costs are those of all rounds until its end."""

    round = serializers.IntegerField()
    state = serializers.ChoiceField(list(WORDS.items()))
    score = serializers.FloatField(allow_null=True, help_text="Mean over the benchmarks, a fraction")
    score_low = serializers.FloatField(allow_null=True, help_text="Of the 95% interval")
    score_high = serializers.FloatField(allow_null=True)
    mark = serializers.CharField(help_text="That the score carries; empty for an official one")
    bytes = serializers.IntegerField(help_text="Sent in both directions")
    joules = serializers.FloatField(allow_null=True)
    simulated_time = serializers.FloatField(allow_null=True)


class CurveSerializer(serializers.Serializer[Any]):
    """Scores on the way, under one protocol."""

    protocol = serializers.IntegerField()
    rows = CurveRowSerializer(many=True)


class RunSummarySerializer(serializers.ModelSerializer[BaselineRun]):
    """A run in a list."""

    url = serializers.SerializerMethodField(help_text="The run's page")
    base_model = serializers.CharField(source="base_model.hub_id")
    waiting_for = serializers.CharField(help_text="What is away that it needs; empty where nothing is")
    next_try_at = serializers.DateTimeField(
        source="waits_until", allow_null=True, help_text="While it waits for that"
    )

    class Meta:
        model = BaselineRun
        fields = [
            "id",
            "url",
            "status",
            "challenge",
            "base_model",
            "strategy",
            "precision",
            "method",
            "rounds",
            "rounds_done",
            "submission",
            "original",
            "waiting_for",
            "waiting_since",
            "next_try_at",
            "error_code",
            "error_message",
            "queued_at",
            "started_at",
            "finished_at",
        ]
        extra_kwargs = {
            "submission": {"help_text": "The reference entry that came of it"},
            "original": {"help_text": "The submission that it retrains"},
            "error_message": {"help_text": "To staff"},
        }

    def to_representation(self, run: BaselineRun) -> dict[str, Any]:
        """The message of an error may name folders of a worker: it is for staff."""
        body: dict[str, Any] = super().to_representation(run)
        if not trains_here(self.context["request"].user):
            body["error_message"] = ""
        return body

    def get_url(self, run: BaselineRun) -> str:
        return str(self.context["request"].build_absolute_uri(run.get_absolute_url()))


class RunSerializer(RunSummarySerializer):
    """A run with its settings and rounds."""

    config = serializers.DictField(help_text="All settings, as `settings` takes them")
    assumed = serializers.ListField(
        child=serializers.CharField(), help_text="What a method card did not say and was chosen here"
    )
    setup = serializers.DictField(
        help_text="What it said of itself before its first round: `partition` are the rows of each client"
    )
    round_metrics = RoundSerializer(many=True)
    benchmark_curve = serializers.SerializerMethodField(
        help_text="Scores of the adapters that it kept on its way; null where it keeps none"
    )

    class Meta(RunSummarySerializer.Meta):
        fields = [
            *RunSummarySerializer.Meta.fields,
            "config",
            "assumed",
            "setup",
            "round_metrics",
            "benchmark_curve",
        ]

    @extend_schema_field(CurveSerializer(allow_null=True))
    def get_benchmark_curve(self, run: BaselineRun) -> dict[str, Any] | None:
        found = curve_of(run, sees_all=sees_all(self.context["request"].user))
        return None if found is None else found.as_dict()


class RunFilter(QuerySerializer):
    """The query parameters of the list."""

    challenge = serializers.ChoiceField(CHALLENGE_CHOICES, required=False)
    strategy = serializers.ChoiceField(
        [(info.name, info.title) for info in STRATEGIES.values()], required=False
    )
    status = serializers.ChoiceField(BaselineRun.Status.choices, required=False)


@extend_schema_field({"type": "object", "additionalProperties": {}})
class SettingsField(serializers.DictField):
    """Settings of a FederatedConfig by their names."""


@dataclass(frozen=True)
class _Start:
    """What a run starts from before its own settings: names to values, and what was assumed."""

    settings: Mapping[str, Any]
    assumed: tuple[str, ...] = ()


class NewRunSerializer(StrictSerializer):
    """A run to start. Settings that are not named are the preset's, or the method card's of `reproduce`."""

    challenge = serializers.ChoiceField(CHALLENGE_CHOICES)
    base_model = serializers.CharField(max_length=120, help_text="A hub id of the list of base models")
    method = serializers.CharField(
        required=False, max_length=services.METHOD_LENGTH, help_text="Name of the entry that comes of it"
    )
    preset = serializers.ChoiceField(
        [(preset.name, preset.title) for preset in presets.PRESETS.values() if not preset.grid],
        required=False,
        help_text="Without it the challenge's official template",
    )
    reproduce = serializers.IntegerField(
        required=False, min_value=1, max_value=2**62, help_text="A submission to retrain from its method card"
    )
    settings = SettingsField(
        required=False,
        help_text='Like `{"strategy": "fedprox", "strategy_options": {"proximal-mu": 0.1}, "rounds": 10}`',
    )

    def validate_base_model(self, hub_id: str) -> BaseModel:
        found = BaseModel.objects.filter(hub_id__iexact=hub_id, active=True).first()
        if found is None:
            raise serializers.ValidationError("This is no base model of the list.", code="unknown_base_model")
        return found

    def validate_reproduce(self, number: int) -> Submission:
        sent = Submission.objects.exclude(status=Submission.Status.RECEIVED)
        found = sent.select_related("base_model", "checkpoint").filter(pk=number).first()
        if found is None:
            raise serializers.ValidationError("There is no such submission.", code="unknown_submission")
        return found

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Adds `plan` and `assumed`, made of what was sent."""
        original = attrs.get("reproduce")
        if original and (attrs["challenge"], attrs["base_model"]) != (
            original.challenge,
            original.base_model,
        ):
            raise serializers.ValidationError(
                {"reproduce": "A retraining keeps the challenge and base model of its original."}
            )
        start = self._start(attrs)
        config = _merged(start.settings, attrs.get("settings", {}), attrs["challenge"])
        plan = services.PlannedRun(attrs["base_model"], services.settled(config, attrs["base_model"]))
        changed = method_cards.changes(plan.config, start.settings) if original else ()
        return {**attrs, "plan": plan, "assumed": (*start.assumed, *changed)}

    def request_of(self, user: User) -> services.Request:
        """The run that was asked for, of what was checked."""
        data = self.validated_data
        return services.Request(
            data["plan"], user, data.get("method", ""), data.get("reproduce"), data["assumed"]
        )

    def _start(self, attrs: Mapping[str, Any]) -> _Start:
        challenge = CHALLENGES[attrs["challenge"]]
        original = attrs.get("reproduce")
        if original is None:
            strategy = attrs.get("settings", {}).get("strategy")
            named = strategy if isinstance(strategy, str) else None
            return _Start(presets.get(attrs.get("preset", challenge.slug)).of(challenge, named))
        try:
            return _Start(*method_cards.settings_of(original, rows_of(challenge.slug).rows))
        except method_cards.NotRetrainable as refusal:
            raise serializers.ValidationError({"reproduce": str(refusal)}) from refusal


def _merged(settings: Mapping[str, Any], changes: Mapping[str, Any], challenge: str) -> FederatedConfig:
    """`settings` with `changes`, as JSON has them. Raises ValidationError that names what cannot be."""
    if not all(text.isprintable() for text in _texts(changes)):
        raise serializers.ValidationError({"settings": "Texts hold printable characters only."})
    if elsewhere := [name for name in _ELSEWHERE if name in changes]:
        raise serializers.ValidationError({f"settings.{elsewhere[0]}": "This is no setting of its own."})
    whole = FederatedConfig(**settings, model=Path(), base_model_id="", train_data=Path())
    try:
        merged = FederatedConfig.from_dict({**whole.as_dict(), **changes})
    except EvaluationError as error:
        raise serializers.ValidationError({"settings": f"{error}."}) from error
    return replace(merged, challenge=challenge)


def _texts(value: Any) -> Iterator[str]:
    """Every text in a JSON value, keys included."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield str(key)
            yield from _texts(item)
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item)
