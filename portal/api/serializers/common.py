"""What serializers share: findings, problems, and refusing what nobody asked for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.http import QueryDict
from drf_spectacular.utils import OpenApiExample, extend_schema_field, extend_schema_serializer
from rest_framework import serializers
from rest_framework.exceptions import ErrorDetail

from evaluation.findings import Severity
from evaluation.findings.catalogue import CATALOGUE
from evaluation.rules.challenges import CHALLENGES
from portal.api.findings import help_address
from portal.submissions.models import Finding

# One set of choices wherever a challenge or a severity is named, so that the schema has one name for it.
CHALLENGE_CHOICES = [(challenge.slug, challenge.title) for challenge in CHALLENGES.values()]
SEVERITY_CHOICES = [(severity.value, severity.value) for severity in Severity]

# Browsers may send it as a field of a form.
_ALSO_THERE = "csrfmiddlewaretoken"


class StrictSerializer(serializers.Serializer[Any]):
    """Refuses fields that it does not have: a misspelt one must not vanish."""

    def to_internal_value(self, data: Any) -> Any:
        unknown = {}
        if isinstance(data, Mapping):
            refusal = ErrorDetail("There is no such field.", code="unknown_field")
            unknown = {str(k)[:60]: [refusal] for k in data if k not in self.fields and k != _ALSO_THERE}
        try:
            value = super().to_internal_value(data)
        except serializers.ValidationError as error:
            found = error.detail if isinstance(error.detail, dict) else {"": error.detail}
            raise serializers.ValidationError({**found, **unknown}) from error
        if unknown:
            raise serializers.ValidationError(unknown)
        return value


class QuerySerializer(StrictSerializer):
    """Query parameters. A blank one is refused: it may come from a variable that was not set."""

    def to_internal_value(self, data: QueryDict) -> Any:
        blank = [name for name in data if name in self.fields and "" in data.getlist(name)]
        if blank:
            raise serializers.ValidationError(dict.fromkeys(blank, "This is blank."), code="blank")
        return super().to_internal_value(data)


class FindingSerializer(serializers.ModelSerializer[Finding]):
    title = serializers.SerializerMethodField(help_text="What the code is about, in a few words")
    help = serializers.SerializerMethodField(
        help_text="The page that explains the code; null where this version has none"
    )

    class Meta:
        model = Finding
        fields = ["code", "severity", "message", "location", "title", "help"]
        extra_kwargs = {
            "code": {"help_text": "Stable; programs may rely on it"},
            "message": {"help_text": "For a person: what is wrong and what to do"},
            "location": {"help_text": "A field, or a file and the place in it"},
        }

    def get_title(self, finding: Finding) -> str:
        return finding.kind.title if finding.kind else ""

    @extend_schema_field({"type": ["string", "null"], "format": "uri"})
    def get_help(self, finding: Finding) -> str | None:
        return help_address(finding.code, self.context["request"]) if finding.kind else None


_PROBLEM = {
    "type": "urn:flowertune:problem:invalid_submission",
    "title": "Unprocessable Entity",
    "status": 422,
    "detail": "The submission has problems; nothing was changed.",
    "findings": [
        {
            "code": "adapter_config.base_model",
            "severity": "error",
            "message": "The file names another base model. Choose that one, or send another file.",
            "location": "adapter_config.json: base_model_name_or_path",
            "title": CATALOGUE["adapter_config.base_model"].title,
            "help": "https://example.org/help/findings/adapter_config.base_model/",
        }
    ],
}


@extend_schema_serializer(
    examples=[
        OpenApiExample(
            "With findings",
            value=_PROBLEM,
            response_only=True,
            media_type="application/problem+json",
            status_codes=["422"],
        )
    ]
)
class ProblemSerializer(serializers.Serializer[Any]):
    """Problem details (RFC 9457)."""

    type = serializers.CharField(help_text="urn:flowertune:problem:<code>")
    title = serializers.CharField()
    status = serializers.IntegerField()
    detail = serializers.CharField()
    findings = FindingSerializer(many=True, required=False)
