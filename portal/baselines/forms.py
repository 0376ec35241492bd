"""The form of a baseline run: every setting of a FederatedConfig, checked as the command line checks it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from django import forms
from django.urls import reverse_lazy

from evaluation import adapter_kinds
from evaluation.adapter_kinds import LORA
from evaluation.federated import config as configuration
from evaluation.federated import presets
from evaluation.federated.config import TOP_K, FederatedConfig, Partition, Privacy
from evaluation.federated.devices import ALIKE, Devices
from evaluation.findings import Finding, Severity
from evaluation.method.row_form import COLUMN_CHOICES, TEMPLATES
from evaluation.method.strategies import STRATEGIES
from evaluation.method.strategy import StrategyInfo
from evaluation.rules.challenges import CHALLENGES
from portal.baselines import services
from portal.baselines.form_groups import GROUPS, Group
from portal.runs.models import BaselineRun
from portal.submissions.models import BaseModel, Submission

_KINDS = {"flower": "Of Flower", "lora-aware": "Made for LoRA", "reference": "To compare with"}
OPTION = "option_"


def _strategies() -> list[tuple[str, list[tuple[str, str]]]]:
    return [
        (title, [(info.name, info.title) for info in STRATEGIES.values() if info.kind == kind])
        for kind, title in _KINDS.items()
    ]


def _count(help_text: str = "", *, lowest: int = 1, **kwargs: Any) -> forms.IntegerField:
    return forms.IntegerField(min_value=lowest, max_value=2**53, help_text=help_text, **kwargs)


def _number(help_text: str = "", **kwargs: Any) -> forms.FloatField:
    number = forms.NumberInput(attrs={"step": "any"})
    return forms.FloatField(help_text=help_text, widget=number, **kwargs)


def _numbers(help_text: str, **kwargs: Any) -> forms.CharField:
    dealt = f"{help_text} Dealt to the clients in turn; left empty all are alike."
    return forms.CharField(required=False, max_length=400, help_text=dealt, **kwargs)


class RunFilter(forms.Form):
    """Which runs a list shows; a value that is unknown filters nothing."""

    challenge = forms.ChoiceField(
        required=False, choices=[("", "all"), *((c.slug, c.title) for c in CHALLENGES.values())]
    )
    strategy = forms.ChoiceField(
        required=False, choices=[("", "all"), *((info.name, info.title) for info in STRATEGIES.values())]
    )
    status = forms.ChoiceField(required=False, choices=[("", "all"), *BaselineRun.Status.choices])

    def conditions(self) -> dict[str, str]:
        """The lookups of what was chosen."""
        self.is_valid()
        return {name: value for name, value in self.cleaned_data.items() if value}


class RunForm(forms.Form):
    """A run to start. The fields of the chosen strategy's options are added to it."""

    challenge = forms.ChoiceField(choices=[(c.slug, c.title) for c in CHALLENGES.values()])
    base_model = forms.ModelChoiceField(
        BaseModel.objects.filter(active=True).defer("tensors"), empty_label="Choose the base model"
    )
    strategy = forms.ChoiceField(
        choices=_strategies,
        widget=forms.Select(
            attrs={
                "hx-get": reverse_lazy("baselines:options"),
                "hx-target": "#options",
                "hx-include": "#id_preset",
                "hx-swap": "outerHTML",
            }
        ),
    )
    # What the form was filled from, whose options a strategy has when it is chosen.
    preset = forms.CharField(required=False, max_length=40, widget=forms.HiddenInput)
    method = forms.CharField(
        required=False,
        max_length=services.METHOD_LENGTH,
        label="Name of the entry",
        help_text="As boards show it. Left empty it is the strategy's name with “baseline”.",
    )
    clients = _count("SuperNodes among which the rows are shared.")
    clients_per_round = _count("How many of them train in each round.")
    rounds = _count()
    minimum_clients = _count(
        "A round fails with fewer usable replies.", label="Fewest clients a round", initial=1
    )
    local_steps = _count("Optimiser steps of a client in a round.")
    batch_size = _count()
    sequence_length = _count("Tokens of a row at most.", lowest=8)
    schedule = forms.ChoiceField(
        choices=[("cosine", "cosine over the rounds"), ("constant", "constant")],
        label="Learning rate schedule",
    )
    learning_rate = _number("In the first round.")
    learning_rate_min = _number("In the last round; the same where it is constant.", label="Lowest rate")
    adapter = forms.ChoiceField(choices=[(key, kind.title) for key, kind in adapter_kinds.trained().items()])
    rank = _count()
    alpha = _count()
    dropout = _number("From 0 to below 1.", initial=0.0)
    target_modules = forms.CharField(
        max_length=4000,
        help_text="Names of linear modules of the base model, with commas between; all-linear for all of "
        "them, default for those that PEFT takes by itself.",
    )
    precision = forms.ChoiceField(
        choices=[
            ("fp4", "4-bit (FP4, as the public apps)"),
            ("nf4", "4-bit (NF4)"),
            ("bf16", "bf16"),
            ("fp32", "fp32"),
        ],
        help_text="Of the frozen base model. The adapter is trained and sent in fp32.",
    )
    template = forms.ChoiceField(
        choices=list(TEMPLATES.items()),
        help_text="Alpaca is the public apps' own, FinGPT that of the finance benchmarks' prompts.",
    )
    instruction_columns = forms.ChoiceField(
        required=False,
        label="Instruction",
        choices=[("", "as the challenge's app"), *((",".join(c), " + ".join(c)) for c in COLUMN_CHOICES)],
        help_text="The columns that it is made of. FinGPT's form has both.",
    )
    learn_end_token = forms.BooleanField(
        required=False, help_text="Teach where an answer ends, which the public apps do not."
    )
    draw_anew = forms.BooleanField(
        required=False,
        label="Draw rows anew each round",
        help_text="The public apps train a client on the same first rows in every round.",
    )
    group_by_length = forms.BooleanField(
        required=False, label="Batches of like length", help_text="Less padding, another order of the rows."
    )
    partition_kind = forms.ChoiceField(
        label="Kind",
        choices=[
            ("iid", "alike, as the benchmark has it"),
            ("dirichlet", "by label, Dirichlet"),
            ("size", "unequal sizes"),
            ("natural", "whole groups of a column"),
            ("label", "so many labels a client"),
        ],
    )
    partition_alpha = _number(
        "Concentration; the smaller, the more unequal. For Dirichlet and sizes.",
        label="Alpha",
        required=False,
    )
    partition_column = forms.CharField(
        required=False,
        max_length=60,
        label="Column",
        help_text="For Dirichlet, groups and labels; domain takes the rows of all challenges.",
    )
    partition_labels = _count("Values of the column that a client holds.", label="Labels", required=False)
    devices_ranks = _numbers("Of the clients' adapters, such as 4, 8, 16.", label="Ranks")
    devices_steps = _numbers("Local steps, where they are not the same for all.", label="Steps")
    devices_speeds = _numbers("1, or 0.5 for one that needs twice the time.", label="Speeds")
    devices_deadline = _number(
        "Of a round, in steps' time of a client of speed 1; 0 for none. Later clients are left out.",
        label="Deadline",
        initial=0.0,
    )
    devices_drop_out = _number("Probability that a client does not answer.", label="Drop-out", initial=0.0)
    devices_poisoned = _count(
        "Clients that send their change reversed and enlarged.", lowest=0, label="Poisoned", initial=0
    )
    compression = forms.ChoiceField(
        choices=[
            ("none", "fp32, not compressed"),
            ("bf16", "changes in bf16"),
            ("int8", "changes in int8"),
            ("top-k", "largest changes, top-k"),
        ],
        initial="none",
    )
    top_k = _number("Share of its numbers that top-k sends.", label="Top-k share", initial=TOP_K)
    held_out = _count("Kept from training; 0 for none.", lowest=0, label="Rows", initial=0)
    own_held_out = _count(
        "Of each client, kept from its training for its own loss; 0 for none.",
        lowest=0,
        label="Rows of each client",
        initial=0,
    )
    evaluate_every = _count("And after the last round.", lowest=0, label="Every so many rounds", initial=0)
    keep_every = _count(
        "Adapters that are stored and evaluated after the run; 0 for none.",
        lowest=0,
        label="Keep one every so many rounds",
        initial=0,
    )
    canaries = _count(
        "That hold a secret besides their rows, to see whether the adapter gives it away; 0 for none.",
        lowest=0,
        label="Clients with a canary",
        initial=0,
    )
    private = forms.BooleanField(required=False, label="Clip updates and add noise to their mean")
    privacy_clipping = forms.ChoiceField(
        label="Clipping", choices=[("fixed", "fixed norm"), ("adaptive", "adaptive")]
    )
    privacy_clipping_norm = _number("Of a client's update; where adaptive, the first one.", label="Norm")
    privacy_noise_multiplier = _number(
        "Standard deviation of the noise, in clipping norms.", label="Noise multiplier"
    )
    privacy_delta = _number("At which ε is reported.", label="Delta")
    privacy_target_quantile = _number(
        "Of the norms, which adaptive clipping follows.", label="Target quantile"
    )
    privacy_quantile_rate = _number("Step of adaptive clipping.", label="Quantile rate")
    seed = _count("The same settings, seed and threads give the same adapter.", lowest=0)
    threads = _count("Of a client on the CPU. The last digits of the adapter depend on them.")

    def __init__(self, *args: Any, original: Submission | None = None, **kwargs: Any) -> None:
        """`original` is the submission that the run retrains: its challenge and base model are kept."""
        super().__init__(*args, **kwargs)
        self.original = original
        self.warnings: list[Finding] = []
        start = presets.PRESETS.get(str(self["preset"].value() or ""))
        values = start.options.get(self.info.name, {}) if start else {}
        for option in self.info.options:
            default = values.get(option.name, option.default)
            number = forms.IntegerField if option.whole else _number
            made = number(
                label=option.name,
                initial=int(default) if option.whole else default,
                help_text=f"{option.meaning[0].upper()}{option.meaning[1:]}, "
                f"from {option.lowest:g} to {option.highest:g}.",
            )
            self.fields[f"{OPTION}{option.name}"] = made

    @property
    def info(self) -> StrategyInfo:
        """The chosen strategy."""
        name = self.data.get("strategy") if self.is_bound else self.initial.get("strategy")
        return STRATEGIES.get(str(name), STRATEGIES["fedavg"])

    @property
    def options(self) -> list[forms.BoundField]:
        return [self[name] for name in self.fields if name.startswith(OPTION)]

    @property
    def groups(self) -> Iterator[tuple[Group, list[forms.BoundField], bool]]:
        """Each group with its fields, and whether it is to be open."""
        for group in GROUPS:
            bound = [self[name] for name in group.names]
            touched = any(
                field.errors or self.data.get(field.name, field.initial) not in _at_rest(field.name)
                for field in bound
            )
            yield group, bound, not group.more or (touched and group.title != "Reproducing it")

    def clean(self) -> dict[str, Any]:
        """Check the whole run, so that every problem is shown at once, each at its field."""
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        for name, kind in _LISTS.items():
            self._read_numbers(name, kind)
        if self.errors:
            return cleaned
        if self.original:
            self._keep("challenge", self.original.challenge)
            self._keep("base_model", self.original.base_model)
        if self.errors:
            return cleaned
        for finding in services.findings(self.plan()):
            if finding.severity is Severity.ERROR:
                self.add_error(self._field_of(finding.location), finding.message)
            else:
                self.warnings.append(finding)
        return cleaned

    def config(self) -> FederatedConfig:
        """The run that the form asks for, of a form that was checked."""
        data = self.cleaned_data
        values = {name: data[name] for name in _PLAIN}
        options = {
            name.removeprefix(OPTION): float(data[name]) for name in self.fields if name.startswith(OPTION)
        }
        privacy = {name: data[f"privacy_{name}"] for name in _PRIVACY}
        made = FederatedConfig(
            **values,
            model=Path(),
            base_model_id="",
            train_data=Path(),
            target_modules=configuration.listed(data["target_modules"]),
            instruction_columns=configuration.listed(data["instruction_columns"]),
            strategy_options=tuple(sorted(options.items())),
            privacy=Privacy(**privacy) if data["private"] else None,
            partition=Partition(
                data["partition_kind"],
                data["partition_alpha"],
                data["partition_column"] or None,
                data["partition_labels"],
            ),
            devices=Devices(**{name: data[f"devices_{name}"] for name in _DEVICES}),
        )
        return services.settled(made, data["base_model"])

    def plan(self) -> services.PlannedRun:
        return services.PlannedRun(self.cleaned_data["base_model"], self.config())

    def _read_numbers(self, name: str, kind: type[int] | type[float]) -> None:
        try:
            self.cleaned_data[name] = configuration.numbers(self.cleaned_data.get(name, ""), kind)
        except ValueError:
            self.add_error(name, "Enter numbers with commas between.")

    def _keep(self, name: str, wanted: object) -> None:
        if self.cleaned_data.get(name) != wanted:
            self.add_error(name, f"The original has {wanted}; a retraining keeps it.")

    def _field_of(self, location: str) -> str | None:
        """The field that a finding is about; None for the whole form."""
        head, _, rest = location.partition(".")
        named = {"strategy_options": f"{OPTION}{rest}", "privacy": f"privacy_{rest}" if rest else "private"}
        name = named.get(head, f"{head}_{rest}" if rest else head)
        return name if name in self.fields else None


_PRIVACY = tuple(asdict(Privacy()))
_DEVICES = tuple(asdict(ALIKE))
_LISTS: Mapping[str, type[int] | type[float]] = {
    "devices_ranks": int,
    "devices_steps": int,
    "devices_speeds": float,
}
_PLAIN = (
    "challenge",
    "strategy",
    "clients",
    "clients_per_round",
    "rounds",
    "minimum_clients",
    "local_steps",
    "batch_size",
    "sequence_length",
    "schedule",
    "learning_rate",
    "learning_rate_min",
    "adapter",
    "rank",
    "alpha",
    "dropout",
    "precision",
    "template",
    "learn_end_token",
    "draw_anew",
    "group_by_length",
    "compression",
    "top_k",
    "held_out",
    "own_held_out",
    "evaluate_every",
    "keep_every",
    "canaries",
    "seed",
    "threads",
)


def _at_rest(name: str) -> tuple[object, ...]:
    """What a folded field says when nobody touched it."""
    at_rest = {f"privacy_{key}": value for key, value in asdict(Privacy()).items()} | {
        "partition_kind": "iid",
        "held_out": 0,
        "own_held_out": 0,
        "evaluate_every": 0,
        "keep_every": 0,
        "canaries": 0,
        "template": "alpaca",
        "devices_deadline": 0.0,
        "devices_drop_out": 0.0,
        "devices_poisoned": 0,
        "compression": "none",
        "top_k": TOP_K,
    }
    return (at_rest.get(name), str(at_rest.get(name)), None, "", False)


def initial_of(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The form's first values from a preset's settings or a configuration's fields."""
    values = {name: settings[name] for name in _PLAIN if name in settings}
    values["target_modules"] = ", ".join(settings["target_modules"])
    values["instruction_columns"] = ",".join(settings.get("instruction_columns", ()))
    options = dict(settings.get("strategy_options", ()))
    values |= {f"{OPTION}{name}": value for name, value in options.items()}
    privacy = settings.get("privacy")
    values |= {f"privacy_{name}": value for name, value in asdict(privacy or Privacy()).items()}
    partition = settings.get("partition") or Partition()
    values |= {f"partition_{name}": value for name, value in asdict(partition).items()}
    devices = asdict(settings.get("devices") or ALIKE)
    lists = {name: ", ".join(map(str, value)) for name, value in devices.items() if isinstance(value, tuple)}
    values |= {f"devices_{name}": value for name, value in (devices | lists).items()}
    defaults = {"schedule": "cosine", "adapter": LORA.key, "dropout": 0.0, "minimum_clients": 1}
    defaults |= {"held_out": 0, "own_held_out": 0, "evaluate_every": 0, "canaries": 0, "template": "alpaca"}
    defaults |= {"compression": "none", "top_k": TOP_K, "keep_every": 0}
    return {**defaults, **values, "private": privacy is not None}
