"""What the API reads of a submission: new ones, and changes to drafts, as JSON or as multipart parts."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any, BinaryIO, cast
from uuid import UUID

from django.core.files.uploadedfile import UploadedFile
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from evaluation.checkpoints.strictjson import JsonError, parse_object
from evaluation.data.dataset import SMOKE_RUN_ITEMS
from evaluation.errors import DataError
from evaluation.hub.names import (
    MAX_ADDRESS,
    MAX_PATH,
    AddressError,
    HubAddress,
    is_folder,
    is_revision,
    parse_address,
)
from evaluation.inspection.declared import DeclaredScore
from evaluation.overlap.report import MAX_SIZE as MAX_REPORT
from evaluation.overlap.report import Report
from portal.accounts.models import Team, User, personal_team
from portal.api.serializers.common import CHALLENGE_CHOICES, StrictSerializer
from portal.intake import services
from portal.intake.drafts import Cost, Draft, Files, HubSource
from portal.intake.repeats import repeatable_by
from portal.runs.ngrams import Overlap, overlap_of
from portal.submissions.base_models import listed
from portal.submissions.models import BaseModel, Resource, Submission
from portal.submissions.rules import site_rules
from portal.submissions.training_data import MAX_LENGTH, TRAINING_SET_ALONE
from portal.uploads import SMALL_FILE_BYTES, file_too_large
from portal.uploads.services import take

_PERCENT = re.compile(r"(100|[0-9]{1,2})(\.[0-9]{1,2})?", re.ASCII)


class CostSerializer(StrictSerializer):
    """One figure of what the training cost, in SI units (bytes, seconds, joules) or as a count."""

    kind = serializers.ChoiceField(Resource.Kind.choices)
    value = serializers.FloatField(min_value=0, max_value=1e20)
    basis = serializers.ChoiceField(
        [Resource.Basis.DECLARED, Resource.Basis.MEASURED],
        default=Resource.Basis.DECLARED,
        help_text="Only reference runs of this site may say “measured”.",
    )


@extend_schema_field(
    {
        "oneOf": [
            {"type": "string", "pattern": f"^{_PERCENT.pattern}$"},
            {"type": "number", "minimum": 0, "maximum": 100},
        ]
    }
)
class PercentField(serializers.Field[Decimal, Any, str, Any]):
    """A percentage with at most two decimals. As text it keeps its zeros: 27.50 says more than 27.5."""

    default_error_messages = {"invalid": "This is no percentage with at most two decimals."}

    def to_internal_value(self, data: Any) -> Decimal:
        if isinstance(data, bool) or not isinstance(data, str | int | float):
            self.fail("invalid")
        if not _PERCENT.fullmatch(str(data)) or Decimal(str(data)) > 100:
            self.fail("invalid")
        return Decimal(str(data))


class DraftSerializer(StrictSerializer):
    """A new submission. An uploaded adapter is named by its upload's id, one on the hub by its place."""

    challenge = serializers.ChoiceField(CHALLENGE_CHOICES)
    base_model = serializers.CharField(
        help_text="Hub id of a listed base model, or one of its aliases", max_length=120
    )
    method = serializers.CharField(max_length=80, help_text="What the board calls the entry")
    team = serializers.CharField(
        required=False, max_length=200, help_text="Name of one of your teams; your own without it"
    )
    kind = serializers.ChoiceField(
        [Submission.Kind.COMMUNITY, Submission.Kind.REFERENCE], default=Submission.Kind.COMMUNITY
    )
    description = serializers.CharField(default="", allow_blank=True, max_length=4000)
    paper_url = serializers.URLField(default="", allow_blank=True, max_length=200)
    code_url = serializers.URLField(default="", allow_blank=True, max_length=200)
    resources = CostSerializer(many=True, default=list)
    declared_scores = serializers.DictField(
        child=PercentField(), default=dict, help_text="Benchmarks of the challenge, in per cent as printed"
    )
    adapter_upload = serializers.UUIDField(
        required=False, help_text="Id of a finished upload of adapter_model.safetensors"
    )
    adapter_config = serializers.CharField(
        required=False,
        allow_blank=True,
        trim_whitespace=False,
        max_length=SMALL_FILE_BYTES,
        help_text="The text of adapter_config.json",
    )
    pyproject = serializers.CharField(
        required=False,
        allow_blank=True,
        trim_whitespace=False,
        max_length=SMALL_FILE_BYTES,
        help_text="The text of the Flower app's pyproject.toml",
    )
    flower_run = serializers.CharField(
        required=False,
        allow_blank=True,
        trim_whitespace=False,
        max_length=SMALL_FILE_BYTES,
        help_text="The text that flwr list --run-id ID --format json wrote of the run, as evidence",
    )
    repository = serializers.CharField(
        required=False,
        max_length=MAX_ADDRESS,
        help_text="On the hub, instead of files: organisation/name, or the address of its page",
    )
    revision = serializers.CharField(
        default="", allow_blank=True, max_length=MAX_PATH, help_text="Branch, tag or commit"
    )
    subfolder = serializers.CharField(
        default="", allow_blank=True, max_length=MAX_PATH, help_text="Where the adapter is not at the top"
    )
    hub_token = serializers.CharField(
        default="",
        allow_blank=True,
        max_length=200,
        write_only=True,
        help_text="For a private repository; used for this fetch and forgotten",
    )
    smoke_run = serializers.BooleanField(
        default=False,
        help_text=f"First {SMOKE_RUN_ITEMS} items a benchmark, then POST …/evaluate/ goes on in full",
    )
    repeats = serializers.IntegerField(
        required=False,
        allow_null=True,
        help_text="Number of the first run of the same method, where this one differs in its seed alone",
    )
    training_data = serializers.CharField(
        default=TRAINING_SET_ALONE,
        max_length=MAX_LENGTH,
        help_text="All that the adapter was trained on, in your words",
    )
    not_trained_on_test_items = serializers.BooleanField(
        default=False,
        help_text="States that no test item of the benchmarks was trained on; only a draft does without",
    )
    overlap = serializers.CharField(
        required=False,
        allow_blank=True,
        max_length=MAX_REPORT,
        help_text="The text of the report that `flowertune overlap` writes of the training data",
    )
    draft = serializers.BooleanField(
        default=False, help_text="Only store it, findings included; POST …/send/ queues it"
    )

    def validate_base_model(self, hub_id: str) -> BaseModel:
        base_model = listed(hub_id)
        if base_model is None:
            raise serializers.ValidationError(
                f"{hub_id} is not on the list of base models. GET /api/v1/base-models/ shows the list.",
                code="unknown_base_model",
            )
        return base_model

    def validate_method(self, name: str) -> str:
        if not name.isprintable():
            raise serializers.ValidationError("The name has characters that cannot be shown.", code="invalid")
        return name

    def validate_team(self, name: str) -> Team:
        team = self._user.teams.filter(name__iexact=name).first()
        if team is None:
            raise serializers.ValidationError(f"You are in no team named “{name}”.", code="unknown_team")
        return team

    def validate_kind(self, kind: str) -> Submission.Kind:
        if kind == Submission.Kind.REFERENCE and not self._may_submit_reference():
            raise serializers.ValidationError(
                "Your account may not submit reference entries.", code="kind_not_allowed"
            )
        return Submission.Kind(kind)

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

    def validate_repository(self, pasted: str) -> HubAddress:
        try:
            return parse_address(pasted)
        except AddressError as error:
            raise serializers.ValidationError(str(error)) from error

    def validate_overlap(self, text: str) -> Overlap | None:
        if not text:
            return None
        try:
            return overlap_of(Report.from_json(text))
        except DataError as error:
            raise serializers.ValidationError(
                f"It cannot be used: {error}.", code="overlap_report"
            ) from error

    def validate_repeats(self, number: int | None) -> Submission | None:
        if number is None:
            return None
        first = repeatable_by(self._user).filter(pk=number).first()
        if first is None:
            raise serializers.ValidationError(
                f"Your teams have no first run {number} that another could repeat.", code="invalid"
            )
        return first

    def validate_revision(self, name: str) -> str:
        if name and not is_revision(name):
            raise serializers.ValidationError("Name a branch, a tag or a commit.")
        return name

    def validate_subfolder(self, path: str) -> str:
        if (path := path.strip("/")) and not is_folder(path):
            raise serializers.ValidationError("Name a folder of the repository, like adapters/peft_200.")
        return path

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        challenge = attrs.get("challenge") or self.context["submission"].challenge
        known = site_rules(challenge).benchmarks
        if unknown := [slug for slug in attrs.get("declared_scores", {}) if slug not in known]:
            message = f"{challenge} has no such benchmark; it has {', '.join(known)}."
            raise serializers.ValidationError(
                {"declared_scores": {slug[:60]: message for slug in unknown}}, code="unknown_benchmark"
            )
        if "repository" not in attrs:
            if any(attrs.get(name) for name in ("revision", "subfolder", "hub_token")):
                raise serializers.ValidationError({"repository": "Name the repository too."}, code="required")
        elif "adapter_upload" in attrs or "adapter_config" in attrs:
            raise serializers.ValidationError({"repository": _EITHER}, code="conflict")
        else:
            address: HubAddress = attrs["repository"]
            for name, pasted in (("revision", address.revision), ("subfolder", address.subfolder)):
                if pasted and attrs.get(name) not in ("", None, pasted):
                    refusal = f"The address names another one: {pasted}."
                    raise serializers.ValidationError({name: refusal}, code="conflict")
        return attrs

    def changes(self) -> dict[str, Any]:
        """What was said, under the names of Draft's fields."""
        data: dict[str, Any] = self.validated_data
        said = ("challenge", "base_model", "method", "team", "kind", "description", "paper_url", "code_url")
        also = ("smoke_run", "repeats", "training_data", "not_trained_on_test_items", "overlap")
        changes = {name: data[name] for name in (*said, *also) if name in data}
        if "resources" in data:
            changes["costs"] = data["resources"]
        if "declared_scores" in data:
            changes["declared_scores"] = [
                DeclaredScore(slug, value) for slug, value in data["declared_scores"].items()
            ]
        if "repository" in data:
            address: HubAddress = data["repository"]
            changes["hub"] = HubSource(
                repository=address.repository,
                revision=data.get("revision") or address.revision,
                subfolder=data.get("subfolder") or address.subfolder,
                token=data.get("hub_token", ""),
                send=not data.get("draft", True),
            )
        return changes

    def texts(self) -> dict[str, bytes]:
        data = self.validated_data
        return {name: data[name].encode() for name in TEXTS if name in data}

    @property
    def _user(self) -> User:
        user: User = self.context["request"].user
        return user

    def _may_submit_reference(self) -> bool:
        return self._user.has_perm("submissions.submit_reference")


class DraftChangesSerializer(DraftSerializer):
    """Changes to a draft: what is not named stays as it is. Lists are replaced as a whole."""

    kind = None  # type: ignore[assignment] # a draft stays what it was begun as
    draft = None  # type: ignore[assignment] # it stays one until it is sent

    def get_fields(self) -> dict[str, Any]:
        fields: dict[str, Any] = super().get_fields()
        for field in fields.values():
            field.required, field.default = False, serializers.empty
        return fields


TEXTS = ("adapter_config", "pyproject", "flower_run")
_EITHER = "Either send the adapter's files or name a repository."


@extend_schema_field(DraftSerializer)
class MetadataField(serializers.CharField):
    """The JSON part of a multipart request, as text."""


@extend_schema_field({"type": "string", "format": "binary"})
class TextPartField(serializers.Field[bytes, Any, str, Any]):
    """A small part, sent as a file or as text."""

    default_error_messages = {"invalid": "Send a file or its text."}

    def to_internal_value(self, data: Any) -> bytes:
        if isinstance(data, str):
            content = data.encode("utf-8", "surrogatepass")
        elif isinstance(data, UploadedFile):
            content = data.read(SMALL_FILE_BYTES + 1)
        else:
            self.fail("invalid")
        if len(content) > SMALL_FILE_BYTES:
            finding = file_too_large(self.field_name or "", SMALL_FILE_BYTES)
            raise serializers.ValidationError(finding.message, finding.code)
        return content


class PartsSerializer(StrictSerializer):
    """The parts of a multipart request: `metadata`, and the three files or the upload of the first."""

    metadata = MetadataField(trim_whitespace=False, help_text="The fields of the JSON body, as a JSON object")
    adapter_model = serializers.FileField(
        required=False, allow_empty_file=True, help_text="adapter_model.safetensors"
    )
    adapter_upload = serializers.UUIDField(required=False, help_text="Instead of adapter_model")
    adapter_config = TextPartField(required=False, help_text="adapter_config.json")
    pyproject = TextPartField(required=False, help_text="pyproject.toml of the Flower app")
    flower_run = TextPartField(required=False, help_text="What Flower recorded of the run, as JSON")

    described_by: type[DraftSerializer] = DraftSerializer

    def validate_metadata(self, text: str) -> DraftSerializer:
        try:
            value = parse_object(text.encode("utf-8", "surrogatepass"))
        except JsonError as error:
            raise serializers.ValidationError(f"This cannot be read: {error}.", code="not_json") from error
        said = self.described_by(data=value, context=self.context)
        said.is_valid(raise_exception=True)
        return said

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        said = attrs["metadata"].validated_data if "metadata" in attrs else {}
        if ("adapter_upload" in attrs or "adapter_upload" in said) and "adapter_model" in attrs:
            raise serializers.ValidationError(
                {"adapter_upload": "Send the file or name its upload, not both."}, code="conflict"
            )
        if twice := said.keys() & attrs.keys():
            refusals = dict.fromkeys(sorted(twice), "This stands in the metadata already.")
            raise serializers.ValidationError(refusals, code="conflict")
        has_files = attrs.keys() & {"adapter_model", "adapter_upload", "adapter_config"}
        if has_files and "repository" in said:
            raise serializers.ValidationError({"metadata": {"repository": _EITHER}}, code="conflict")
        return attrs


class PartChangesSerializer(PartsSerializer):
    """Parts that change a draft: those that are not sent stay as they are."""

    metadata = MetadataField(required=False, trim_whitespace=False, help_text="Changes, as a JSON object")
    described_by = DraftChangesSerializer


@dataclass(frozen=True)
class Sent:
    """What a request says of a submission, whichever way it came."""

    changes: dict[str, Any]
    is_draft: bool
    adapter: UploadedFile | None
    adapter_upload: UUID | None
    texts: dict[str, bytes]

    def new(self, user: User) -> Draft:
        """The draft of a new submission. Raises UploadError where its upload cannot be taken."""
        team = self.changes.get("team") or personal_team(user)
        return Draft(submitter=user, files=self._files(user), **{**self.changes, "team": team})

    def amended(self, submission: Submission, user: User) -> Draft:
        """What `submission` says after the change, with the files that were sent alone."""
        current = services.draft_of(submission)
        changes = dict(self.changes)
        if changes.get("challenge", current.challenge) != current.challenge:
            changes.setdefault("declared_scores", [])  # those of another challenge's benchmarks
        return replace(current, **{**changes, "files": self._files(user)})

    def _files(self, user: User) -> Files:
        upload = take(user, self.adapter_upload) if self.adapter_upload else None
        adapter_size = upload.size if upload else (self.adapter.size or 0 if self.adapter else 0)
        return Files(
            adapter=cast(BinaryIO, self.adapter.file) if self.adapter else None,
            adapter_size=adapter_size,
            stored_as=upload.stored_as if upload else "",
            adapter_config=self.texts.get("adapter_config"),
            config=self.texts.get("pyproject"),
            flower_run=self.texts.get("flower_run"),
        )


def read(data: Any, context: dict[str, Any], *, is_multipart: bool) -> Sent:
    """What a request's body says; `context` has the request, and the submission that is to be changed.

    Raises ValidationError with everything that is wrong.
    """
    is_new = "submission" not in context
    if not is_multipart:
        said = (DraftSerializer if is_new else DraftChangesSerializer)(data=data, context=context)
        said.is_valid(raise_exception=True)
        return _sent(said, {})
    parts = (PartsSerializer if is_new else PartChangesSerializer)(data=data, context=context)
    parts.is_valid(raise_exception=True)
    return _sent(parts.validated_data.get("metadata"), parts.validated_data)


def _sent(said: DraftSerializer | None, parts: dict[str, Any]) -> Sent:
    metadata = said.validated_data if said else {}
    texts = said.texts() if said else {}
    return Sent(
        changes=said.changes() if said else {},
        is_draft=metadata.get("draft", False),
        adapter=parts.get("adapter_model"),
        adapter_upload=parts.get("adapter_upload") or metadata.get("adapter_upload"),
        texts=texts | {name: parts[name] for name in TEXTS if name in parts},
    )
