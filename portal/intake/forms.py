"""The submission form."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, BinaryIO, cast

from django import forms
from django.conf import settings
from django.core.files.uploadedfile import UploadedFile
from django.template.defaultfilters import filesizeformat

from evaluation.benchmarks import BENCHMARKS
from evaluation.data.dataset import SMOKE_RUN_ITEMS
from evaluation.findings import Finding
from evaluation.hub.names import HubAddress, is_folder, is_revision
from evaluation.inspection.declared import MAX_DECIMALS, DeclaredScore
from evaluation.method.communication import GB
from evaluation.rules.challenges import CHALLENGES, Challenge
from portal.accounts.models import Team, User
from portal.intake.checks import MISSING_FILE, NO_STATEMENT
from portal.intake.drafts import Cost, Draft, Files, HubSource
from portal.intake.fields import FileUpTo, GigabytesField, HubAddressField
from portal.intake.repeats import repeatable_by
from portal.runs.ngrams import overlap_of_submission
from portal.submissions import training_data
from portal.submissions.models import BaseModel, Resource, Submission
from portal.submissions.rules import site_rules
from portal.uploads import SMALL_FILE_BYTES
from portal.uploads.services import take

COSTS = {
    "communication_gb": (Resource.Kind.COMMUNICATION, GB),
    "client_vram_gb": (Resource.Kind.CLIENT_VRAM, GB),
    "training_hours": (Resource.Kind.WALL_TIME, 3600),
}
FILES = ("adapter_model", "adapter_config", "pyproject")


class SubmissionForm(forms.Form):
    """Everything a submission needs. What stands inside the files is checked by the services."""

    challenge = forms.ChoiceField(
        choices=lambda: [
            ("", "Choose a challenge"),
            *((c.slug, c.title) for c in CHALLENGES.values()),
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
        required=False,
        limit=settings.SUBMISSION_MAX_BYTES,
        help_text="The last PEFT checkpoint of your run. Only safetensors is read; pickles are refused.",
    )
    adapter_upload = forms.UUIDField(required=False, widget=forms.HiddenInput)
    adapter_config = FileUpTo(
        label="adapter_config.json",
        required=False,
        limit=SMALL_FILE_BYTES,
        help_text="Saved by PEFT next to the adapter.",
    )
    pyproject = FileUpTo(
        label="pyproject.toml",
        required=False,
        limit=SMALL_FILE_BYTES,
        help_text="Of your Flower app, as it was run.",
    )
    flower_run = FileUpTo(
        label="Record of the run",
        required=False,
        limit=SMALL_FILE_BYTES,
        help_text="What flwr list --run-id ID --format json wrote: app, bundle, traffic and compute time.",
    )
    hub_repository = HubAddressField(
        label="Repository",
        required=False,
        help_text="Like organisation/name, or the address of its page. Only the adapter's files are fetched.",
    )
    hub_revision = forms.CharField(
        label="Revision",
        required=False,
        max_length=200,
        help_text="Branch, tag or commit; the default branch without it. The commit is put on record.",
    )
    hub_subfolder = forms.CharField(
        label="Folder",
        required=False,
        max_length=200,
        help_text="Where the adapter is not at the top, like peft_200.",
    )
    hub_token = forms.CharField(
        label="Token",
        required=False,
        max_length=200,
        widget=forms.PasswordInput(attrs={"autocomplete": "off"}),
        help_text="For a private or gated repository: one that may only read. "
        "It is used for this fetch and forgotten.",
    )
    communication_gb = GigabytesField(
        label="Communication (GB)",
        required=False,
        max_length=40,
        help_text="All messages of the run in both directions, like 45.1 or 46,228 MB; 1 GB = 1024³ bytes.",
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
    smoke_run = forms.BooleanField(
        label="Smoke run first",
        required=False,
        help_text=f"{SMOKE_RUN_ITEMS} items of each benchmark, in minutes. You see the answers, and decide "
        "whether it is evaluated in full. It is no score, and only your team and the reviewers see it.",
    )
    repeats = forms.ModelChoiceField(
        Submission.objects.none(),
        label="Another run of",
        required=False,
        empty_label="Nothing: a method of its own",
        help_text="A run of the same method that differs in its seed alone. The board shows one row with the "
        "mean of all runs, and its interval covers the seeds too; three runs or more make it narrow.",
    )
    training_data = forms.CharField(
        label="Training data",
        required=False,
        max_length=training_data.MAX_LENGTH,
        initial=training_data.TRAINING_SET_ALONE,
        widget=forms.Textarea(attrs={"rows": 2}),
        help_text="All that the adapter was trained on, in your words.",
    )
    not_trained_on_test_items = forms.BooleanField(
        label="No test item of the benchmarks was trained on",
        required=False,
        help_text="Without this a draft can be saved, and nothing is evaluated.",
    )
    paper_url = forms.URLField(label="Paper", required=False, assume_scheme="https")
    code_url = forms.URLField(label="Code", required=False, assume_scheme="https")

    def __init__(self, *args: Any, user: User, submission: Submission | None = None, **kwargs: Any) -> None:
        """For a new submission, or the draft `submission`."""
        super().__init__(*args, **kwargs)
        self.user = user
        self.submission = submission
        team = self.fields["team"]
        assert isinstance(team, forms.ModelChoiceField)
        team.queryset = Team.objects.filter(memberships__user=user)
        repeats = self.fields["repeats"]
        assert isinstance(repeats, forms.ModelChoiceField)
        repeats.queryset = repeatable_by(user, submission)
        for benchmark in BENCHMARKS.values():
            self.fields[_score_field(benchmark.slug)] = forms.DecimalField(
                label=benchmark.title,
                required=False,
                min_value=0,
                max_value=100,
                decimal_places=MAX_DECIMALS,
                widget=forms.TextInput(attrs={"inputmode": "decimal", "autocomplete": "off"}),
            )

    @property
    def score_groups(self) -> Iterator[ScoreGroup]:
        """The fields for declared scores, a group a challenge."""
        for challenge in CHALLENGES.values():
            yield ScoreGroup(challenge, [self[_score_field(slug)] for slug in _benchmarks(challenge.slug)])

    @property
    def has_declared_scores(self) -> bool:
        return any(field.value() or field.errors for group in self.score_groups for field in group.fields)

    @property
    def has_hub(self) -> bool:
        return any(self[name].value() or self[name].errors for name in ("hub_repository", "hub_revision"))

    def clean_method(self) -> str:
        method: str = self.cleaned_data["method"].strip()
        if not method.isprintable():
            raise forms.ValidationError("The name has characters that cannot be shown. Write it anew.")
        return method

    def clean_training_data(self) -> str:
        return self.cleaned_data["training_data"] or training_data.TRAINING_SET_ALONE

    def clean_hub_revision(self) -> str:
        revision: str = self.cleaned_data["hub_revision"].strip("/")
        if revision and not is_revision(revision):
            raise forms.ValidationError("Name a branch, a tag or a commit.")
        return revision

    def clean_hub_subfolder(self) -> str:
        folder: str = self.cleaned_data["hub_subfolder"].strip("/")
        if folder and not is_folder(folder):
            raise forms.ValidationError("Name a folder of the repository, like adapters/peft_200.")
        return folder

    def clean(self) -> dict[str, Any]:
        data = super().clean() or {}
        if data.get("adapter_upload") and data.get("adapter_model"):
            self.add_error("adapter_model", "The adapter came twice. Choose it again.")
        if address := data.get("hub_repository"):
            for name in FILES[:2]:
                if self._is_sent(name):
                    self.add_error(name, "Either upload the adapter or name a repository.")
            for name, pasted in (("hub_revision", address.revision), ("hub_subfolder", address.subfolder)):
                if pasted and data.get(name) not in ("", None, pasted):
                    self.add_error(name, f"The address of the repository names another one: {pasted}.")
        else:
            for name in ("hub_revision", "hub_subfolder", "hub_token"):
                if data.get(name):
                    self.add_error("hub_repository", "Name the repository too.")
                    break
        return data

    def name_missing(self, findings: Iterable[Finding]) -> None:
        """Say at the fields of a form that was sent what the checks miss."""
        labels = {self.fields[name].label: name for name in FILES}
        for finding in findings:
            if finding.code == MISSING_FILE:
                self.add_error(labels[finding.location], finding.message)
            elif finding.code == NO_STATEMENT:
                self.add_error(finding.location, finding.message)

    def _is_sent(self, name: str) -> bool:
        data = self.cleaned_data
        return bool(data.get(name) or (name == "adapter_model" and data.get("adapter_upload")))

    @property
    def files_there(self) -> dict[str, str]:
        """What the draft has already: a field's name, and the file in words."""
        draft = self.submission
        if draft is None:
            return {}
        there = {
            "adapter_config": draft.adapter_config_text,
            "pyproject": draft.config_text,
            "flower_run": draft.flower_run_text,
        }
        found = {name: filesizeformat(len(text.encode())) for name, text in there.items() if text}
        if draft.adapter_file:
            found["adapter_model"] = filesizeformat(draft.adapter_file.size)
        return found

    def draft(self, *, send: bool = False) -> Draft:
        """What the valid form says. With `send` it is sent once its files have come from the hub.

        Takes over a finished upload: to be called in the transaction that stores the draft. Raises
        UploadError.
        """
        data = self.cleaned_data
        return Draft(
            submitter=self.user,
            team=data["team"],
            challenge=data["challenge"],
            base_model=data["base_model"],
            method=data["method"],
            files=self._files(),
            description=data["description"],
            paper_url=data["paper_url"],
            code_url=data["code_url"],
            costs=self._costs(),
            declared_scores=self._declared_scores(),
            smoke_run=data["smoke_run"],
            training_data=data["training_data"],
            not_trained_on_test_items=data["not_trained_on_test_items"],
            overlap=overlap_of_submission(self.submission) if self.submission else None,
            repeats=data["repeats"],
            hub=self._hub(send),
        )

    def _files(self) -> Files:
        data = self.cleaned_data
        adapter: UploadedFile | None = data["adapter_model"]
        upload = take(self.user, data["adapter_upload"]) if data["adapter_upload"] else None
        return Files(
            adapter=cast(BinaryIO, adapter.file) if adapter else None,
            adapter_size=upload.size if upload else (adapter.size or 0) if adapter else 0,
            stored_as=upload.stored_as if upload else "",
            adapter_config=data["adapter_config"].read() if data["adapter_config"] else None,
            config=data["pyproject"].read() if data["pyproject"] else None,
            flower_run=data["flower_run"].read() if data["flower_run"] else None,
        )

    def _hub(self, send: bool) -> HubSource | None:
        data = self.cleaned_data
        address: HubAddress | None = data["hub_repository"]
        if address is None:
            return None
        return HubSource(
            repository=address.repository,
            revision=data["hub_revision"] or address.revision,
            subfolder=data["hub_subfolder"] or address.subfolder,
            token=data["hub_token"],
            send=send,
        )

    def _costs(self) -> list[Cost]:
        """Those of the form, and of a draft those that the form does not show."""
        costs = [
            Cost(kind, self.cleaned_data[name] * factor, Resource.Basis.DECLARED)
            for name, (kind, factor) in COSTS.items()
            if self.cleaned_data[name] is not None
        ]
        shown = {kind for kind, _ in COSTS.values()}
        if self.submission:
            costs += [
                Cost(Resource.Kind(r.kind), r.value, Resource.Basis(r.basis))
                for r in self.submission.resources.exclude(basis=Resource.Basis.DERIVED)
                if r.kind not in shown or r.basis != Resource.Basis.DECLARED
            ]
        return costs

    def _declared_scores(self) -> list[DeclaredScore]:
        """Of the chosen challenge; what stands in the fields of others is of another choice."""
        benchmarks = _benchmarks(self.cleaned_data["challenge"])
        given = {slug: self.cleaned_data[_score_field(slug)] for slug in benchmarks}
        return [DeclaredScore(slug, percent) for slug, percent in given.items() if percent is not None]


class BaseModelRequestForm(forms.Form):
    """A wish for a base model that is on no list."""

    hub_id = HubAddressField(
        label="Base model",
        help_text="Its repository on the hub, like organisation/name, or the page's address.",
    )
    reason = forms.CharField(
        label="Why",
        required=False,
        max_length=1000,
        widget=forms.Textarea(attrs={"rows": 4}),
        help_text="What you trained, and what speaks for the model. The operators read it.",
    )


@dataclass(frozen=True)
class ScoreGroup:
    """The fields for declared scores of a challenge."""

    challenge: Challenge
    fields: list[forms.BoundField]


def values_of(submission: Submission) -> dict[str, Any]:
    """A draft as the form's initial values."""
    values: dict[str, Any] = {
        name: getattr(submission, name)
        for name in (
            *("challenge", "base_model", "team", "method", "description", "paper_url", "code_url"),
            *("smoke_run", "not_trained_on_test_items", "repeats"),
        )
    }
    values["training_data"] = submission.training_data or training_data.TRAINING_SET_ALONE
    declared = {r.kind: r.value for r in submission.resources.filter(basis=Resource.Basis.DECLARED)}
    values |= {
        name: _short(declared[kind] / factor) for name, (kind, factor) in COSTS.items() if kind in declared
    }
    values |= {_score_field(score.benchmark): score.percent for score in submission.declared_scores.all()}
    return values


def _short(value: float) -> Decimal:
    """Without the digits that come from converting units."""
    return Decimal(f"{value:.12g}")


def _benchmarks(challenge: str) -> tuple[str, ...]:
    """Those that a team may declare scores on."""
    return site_rules(challenge).benchmarks


def _score_field(benchmark: str) -> str:
    return f"score_{benchmark}"
