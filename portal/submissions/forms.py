"""The submission form."""

from __future__ import annotations

from typing import Any, BinaryIO, cast

from django import forms
from django.conf import settings
from django.core.files.uploadedfile import UploadedFile
from django.template.defaultfilters import filesizeformat

from evaluation.challenges import CHALLENGES
from portal.accounts.models import Team, User
from portal.submissions.models import BaseModel, Resource
from portal.submissions.services import Cost, Draft, Files
from portal.uploads import SMALL_FILE_BYTES

GIBIBYTE = 1024**3


class FileUpTo(forms.FileField):
    """A file field with a limit on the size of what it takes."""

    def __init__(self, *, limit: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.limit = limit

    def clean(self, data: Any, initial: Any = None) -> Any:
        if data and data.size > self.limit:
            raise forms.ValidationError(
                f"The file has {filesizeformat(data.size)}; the limit is {filesizeformat(self.limit)}."
            )
        return super().clean(data, initial)


class SubmissionForm(forms.Form):
    """Everything a submission needs. What stands inside the files is checked by the services."""

    challenge = forms.ChoiceField(
        choices=lambda: [
            ("", "Choose a challenge"),
            *((c.slug, c.title) for c in CHALLENGES.values() if c.evaluable),
        ]
    )
    base_model = forms.ModelChoiceField(
        BaseModel.objects.filter(active=True),
        empty_label="Choose the base model",
        help_text="The model your adapter was trained on. adapter_config.json must name the same one.",
    )
    team = forms.ModelChoiceField(Team.objects.none(), empty_label=None)
    method = forms.CharField(
        max_length=80, help_text="What the board calls your entry, like “FedAvg, rank 16”."
    )
    adapter_model = FileUpTo(
        label="adapter_model.safetensors",
        limit=settings.SUBMISSION_MAX_BYTES,
        help_text="The last PEFT checkpoint of your run. Only safetensors is read; pickles are refused.",
    )
    adapter_config = FileUpTo(
        label="adapter_config.json", limit=SMALL_FILE_BYTES, help_text="Saved by PEFT next to the adapter."
    )
    pyproject = FileUpTo(
        label="pyproject.toml", limit=SMALL_FILE_BYTES, help_text="Of your Flower app, as it was run."
    )
    communication_gb = forms.FloatField(
        label="Communication (GB)",
        required=False,
        min_value=0,
        max_value=1e9,
        help_text="All messages of the run in both directions; 1 GB = 1024³ bytes.",
    )
    client_vram_gb = forms.FloatField(
        label="Client GPU memory (GB)",
        required=False,
        min_value=0,
        max_value=1e6,
        help_text="Highest of all clients.",
    )
    training_hours = forms.FloatField(
        label="Training time (hours)",
        required=False,
        min_value=0,
        max_value=1e6,
        help_text="Wall-clock time.",
    )
    description = forms.CharField(
        required=False,
        max_length=4000,
        widget=forms.Textarea(attrs={"rows": 4}),
        help_text="Shown on the entry's page.",
    )
    paper_url = forms.URLField(label="Paper", required=False, assume_scheme="https")
    code_url = forms.URLField(label="Code", required=False, assume_scheme="https")

    def __init__(self, *args: Any, user: User, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.user = user
        team = self.fields["team"]
        assert isinstance(team, forms.ModelChoiceField)
        team.queryset = Team.objects.filter(memberships__user=user)

    def draft(self) -> Draft:
        """What the valid form says, ready for `services.submit`."""
        data = self.cleaned_data
        adapter: UploadedFile = data["adapter_model"]
        assert adapter.size is not None and adapter.file is not None
        return Draft(
            submitter=self.user,
            team=data["team"],
            challenge=data["challenge"],
            base_model=data["base_model"],
            method=data["method"].strip(),
            files=Files(
                adapter=cast(BinaryIO, adapter.file),
                adapter_size=adapter.size,
                adapter_config=data["adapter_config"].read(),
                config=data["pyproject"].read(),
            ),
            description=data["description"],
            paper_url=data["paper_url"],
            code_url=data["code_url"],
            costs=self._costs(),
        )

    def _costs(self) -> list[Cost]:
        factors = {
            "communication_gb": (Resource.Kind.COMMUNICATION, GIBIBYTE),
            "client_vram_gb": (Resource.Kind.CLIENT_VRAM, GIBIBYTE),
            "training_hours": (Resource.Kind.WALL_TIME, 3600),
        }
        return [
            Cost(kind, self.cleaned_data[name] * factor, Resource.Basis.DECLARED)
            for name, (kind, factor) in factors.items()
            if self.cleaned_data[name] is not None
        ]
