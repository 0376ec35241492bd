"""What the API reads and writes."""

from __future__ import annotations

from typing import Any

from django.core.files.uploadedfile import UploadedFile
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from evaluation.challenges import CHALLENGES
from evaluation.checkpoints.strictjson import JsonError, parse_object
from portal.accounts.models import User, personal_team
from portal.runs.models import Evaluation, Score
from portal.submissions.models import BaseModel, Finding, Resource, Submission
from portal.submissions.progress import progress_of
from portal.submissions.services import Cost, Draft, Files
from portal.uploads import SMALL_FILE_BYTES, file_too_large


class FindingSerializer(serializers.ModelSerializer[Finding]):
    class Meta:
        model = Finding
        fields = ["code", "severity", "message", "location"]


class ProblemSerializer(serializers.Serializer[Any]):
    """Problem details (RFC 9457)."""

    type = serializers.CharField()
    title = serializers.CharField()
    status = serializers.IntegerField()
    detail = serializers.CharField()
    findings = FindingSerializer(many=True, required=False)


class ChallengeSerializer(serializers.Serializer[Any]):
    slug = serializers.CharField()
    title = serializers.CharField()
    summary = serializers.CharField()
    open = serializers.BooleanField(source="evaluable", help_text="Whether submissions are evaluated here")
    benchmarks = serializers.ListField(child=serializers.CharField())
    training_sets = serializers.ListField(child=serializers.CharField())
    clients = serializers.IntegerField()
    communication_budget_bytes = serializers.IntegerField()


class BaseModelSerializer(serializers.ModelSerializer[BaseModel]):
    class Meta:
        model = BaseModel
        fields = ["hub_id", "revision", "parameters", "context_length", "licence"]


class ResourceSerializer(serializers.ModelSerializer[Resource]):
    unit = serializers.CharField(read_only=True, help_text="B, s, J or empty for a count")

    class Meta:
        model = Resource
        fields = ["kind", "value", "unit", "basis"]


class ScoreSerializer(serializers.ModelSerializer[Score]):
    class Meta:
        model = Score
        fields = [
            "benchmark",
            "value",
            "standard_error",
            "n",
            "unscored",
            "data",
            "data_digest",
            "official",
            "unofficial_reasons",
            "seconds",
        ]


class ProgressSerializer(serializers.Serializer[Any]):
    phase = serializers.CharField()
    benchmark = serializers.CharField()
    done = serializers.IntegerField()
    total = serializers.IntegerField()
    rate = serializers.FloatField(allow_null=True, help_text="Items a second")
    seconds_left = serializers.FloatField(allow_null=True)
    benchmarks_done = serializers.IntegerField()
    benchmarks_total = serializers.IntegerField()
    queue_position = serializers.IntegerField(allow_null=True)


class EvaluationSerializer(serializers.ModelSerializer[Evaluation]):
    scores = ScoreSerializer(many=True)
    progress = serializers.SerializerMethodField()

    class Meta:
        model = Evaluation
        fields = [
            "id",
            "status",
            "protocol",
            "attempts",
            "progress",
            "scores",
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


def _small(file: UploadedFile, name: str) -> UploadedFile:
    if (file.size or 0) > SMALL_FILE_BYTES:
        raise serializers.ValidationError(file_too_large(name, SMALL_FILE_BYTES).message, "upload.too_large")
    return file


class SubmissionSerializer(serializers.ModelSerializer[Submission]):
    team = serializers.CharField(source="team.name")
    base_model = serializers.CharField(source="base_model.hub_id")
    checkpoint = serializers.CharField(source="checkpoint.sha256", allow_null=True, default=None)
    findings = FindingSerializer(many=True)
    resources = ResourceSerializer(many=True)
    evaluations = EvaluationSerializer(many=True)
    url = serializers.SerializerMethodField(help_text="The submission's page")

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
            "base_model",
            "checkpoint",
            "description",
            "paper_url",
            "code_url",
            "created_at",
            "published_at",
            "findings",
            "resources",
            "evaluations",
        ]

    _teams: set[int] | None = None

    def to_representation(self, submission: Submission) -> dict[str, Any]:
        """What the reader may see: findings and unsuccessful evaluations are for the team and staff."""
        body: dict[str, Any] = super().to_representation(submission)
        user = self.context["request"].user
        if not (user.is_staff or submission.team_id in self._teams_of(user)):
            body["findings"] = []
            body["evaluations"] = [e for e in body["evaluations"] if e["status"] == "succeeded"]
        return body

    def _teams_of(self, user: Any) -> set[int]:
        if self._teams is None:
            self._teams = set(user.teams.values_list("pk", flat=True)) if user.is_authenticated else set()
        return self._teams

    def get_url(self, submission: Submission) -> str:
        return str(self.context["request"].build_absolute_uri(submission.get_absolute_url()))


class CostSerializer(serializers.Serializer[Any]):
    """One figure of what the training cost, in SI units (bytes, seconds, joules) or as a count."""

    kind = serializers.ChoiceField(Resource.Kind.choices)
    value = serializers.FloatField(min_value=0, max_value=1e20)
    basis = serializers.ChoiceField(
        [Resource.Basis.DECLARED, Resource.Basis.MEASURED],
        default=Resource.Basis.DECLARED,
        help_text="Only reference runs of this site may say “measured”.",
    )


class MetadataSerializer(serializers.Serializer[Any]):
    """The `metadata` part of a new submission."""

    challenge = serializers.ChoiceField([(slug, slug) for slug in CHALLENGES])
    base_model = serializers.CharField(help_text="Hub id of a listed base model")
    method = serializers.CharField(max_length=80)
    team = serializers.CharField(required=False, help_text="Name of one of your teams; your own without it")
    kind = serializers.ChoiceField(Submission.Kind.choices, default=Submission.Kind.COMMUNITY)
    description = serializers.CharField(required=False, default="", allow_blank=True, max_length=4000)
    paper_url = serializers.URLField(required=False, default="", allow_blank=True)
    code_url = serializers.URLField(required=False, default="", allow_blank=True)
    resources = CostSerializer(many=True, required=False, default=list)

    def validate_base_model(self, hub_id: str) -> BaseModel:
        base_model = BaseModel.objects.filter(hub_id__iexact=hub_id).first()
        if base_model is None:
            raise serializers.ValidationError(
                f"{hub_id} is not on the list of base models. GET /api/v1/base-models/ shows the list.",
                code="unknown_base_model",
            )
        return base_model

    def validate_resources(self, resources: list[dict[str, Any]]) -> list[Cost]:
        costs = [Cost(Resource.Kind(r["kind"]), r["value"], Resource.Basis(r["basis"])) for r in resources]
        if len({(cost.kind, cost.basis) for cost in costs}) < len(costs):
            raise serializers.ValidationError(
                "A kind of resource stands here twice.", code="duplicate_resource"
            )
        if any(cost.basis == Resource.Basis.MEASURED for cost in costs) and not self._may_submit_reference():
            raise serializers.ValidationError(
                "Only reference runs of this site are “measured”; say “declared”.", code="basis_not_allowed"
            )
        return costs

    def validate_kind(self, kind: str) -> Submission.Kind:
        if kind == Submission.Kind.REFERENCE and not self._may_submit_reference():
            raise serializers.ValidationError(
                "Your account may not submit reference entries.", code="kind_not_allowed"
            )
        return Submission.Kind(kind)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        user: User = self.context["request"].user
        name = attrs.get("team")
        team = user.teams.filter(name__iexact=name).first() if name else personal_team(user)
        if team is None:
            raise serializers.ValidationError(
                {"team": f"You are in no team named “{name}”."}, code="unknown_team"
            )
        return {**attrs, "team": team}

    def _may_submit_reference(self) -> bool:
        return bool(self.context["request"].user.has_perm("submissions.submit_reference"))


@extend_schema_field(MetadataSerializer)
class MetadataField(serializers.CharField):
    """The JSON part of a multipart request, as text; the serializer parses it."""


class NewSubmissionSerializer(serializers.Serializer[Any]):
    """A new submission: three files and their metadata, as multipart form data."""

    metadata = MetadataField(help_text="A JSON object")
    adapter_model = serializers.FileField(required=False, help_text="adapter_model.safetensors")
    adapter_config = serializers.FileField(required=False, help_text="adapter_config.json")
    pyproject = serializers.FileField(required=False, help_text="pyproject.toml of the Flower app")

    FILES = ("adapter_model", "adapter_config", "pyproject")

    def validate_metadata(self, text: str) -> dict[str, Any]:
        try:
            value = parse_object(text.encode("utf-8", "surrogatepass"))
        except JsonError as error:
            raise serializers.ValidationError(f"This cannot be read: {error}.", code="not_json") from error
        metadata = MetadataSerializer(data=value, context=self.context)
        metadata.is_valid(raise_exception=True)
        return dict(metadata.validated_data)

    def validate_adapter_config(self, file: UploadedFile) -> UploadedFile:
        return _small(file, "adapter_config")

    def validate_pyproject(self, file: UploadedFile) -> UploadedFile:
        return _small(file, "pyproject")

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        missing = [name for name in self.FILES if not attrs.get(name)]
        untuned = attrs["metadata"]["kind"] == Submission.Kind.REFERENCE and len(missing) == len(self.FILES)
        if missing and not untuned:
            raise serializers.ValidationError(
                dict.fromkeys(missing, "This file is missing."), code="required"
            )
        return attrs

    def draft(self) -> Draft:
        data = self.validated_data
        metadata = data["metadata"]
        return Draft(
            submitter=self.context["request"].user,
            team=metadata["team"],
            challenge=metadata["challenge"],
            base_model=metadata["base_model"],
            method=metadata["method"],
            kind=metadata["kind"],
            description=metadata["description"],
            paper_url=metadata["paper_url"],
            code_url=metadata["code_url"],
            costs=metadata["resources"],
            files=self._files(),
        )

    def _files(self) -> Files | None:
        data = self.validated_data
        if not data.get("adapter_model"):
            return None
        return Files(
            adapter=data["adapter_model"].file,
            adapter_size=data["adapter_model"].size,
            adapter_config=data["adapter_config"].read(),
            config=data["pyproject"].read(),
        )
