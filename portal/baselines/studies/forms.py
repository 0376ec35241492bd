"""A study made on a page: lists to choose from, written as the plan that a file would hold."""

from __future__ import annotations

from typing import Any

from django import forms

from evaluation import adapter_kinds
from evaluation.errors import EvaluationError
from evaluation.federated import presets
from evaluation.federated import study as plans
from evaluation.method.strategies import STRATEGIES
from evaluation.rules.challenges import CHALLENGES
from portal.baselines.studies import services
from portal.baselines.studies.planning import StudyRefused
from portal.submissions.models import BaseModel

_WIDE = {"rows": 4, "spellcheck": "false", "class": "code"}


def _choices(help_text: str, choices: list[tuple[str, str]]) -> forms.MultipleChoiceField:
    return forms.MultipleChoiceField(
        choices=choices, widget=forms.CheckboxSelectMultiple, help_text=help_text, required=False
    )


class StudyForm(forms.Form):
    """A study to start: its plan as text, or the lists that make one."""

    title = forms.CharField(max_length=plans.TITLE_LENGTH, required=False)
    preset = forms.ChoiceField(
        required=False,
        label="Settings of",
        choices=[("", "each challenge's template"), *((p.name, p.title) for p in presets.PRESETS.values())],
    )
    base_models = forms.MultipleChoiceField(
        required=False, widget=forms.SelectMultiple(attrs={"size": 8}), help_text="Open ones of the list."
    )
    challenges = _choices("", [(c.slug, c.title) for c in CHALLENGES.values()])
    strategies = _choices("", [(s.name, s.title) for s in STRATEGIES.values() if s.builder])
    adapters = _choices("", [(key, kind.title) for key, kind in adapter_kinds.trained().items()])
    seeds = forms.CharField(
        required=False, initial="42", help_text="With commas between. Three give an interval over seeds too."
    )
    partitions = forms.CharField(
        required=False,
        initial="iid",
        widget=forms.Textarea(attrs=_WIDE | {"rows": 2}),
        help_text="A line each: iid, or a kind with its number and column, as in “dirichlet 0.5 output”.",
    )
    settings = forms.CharField(
        required=False,
        widget=forms.Textarea(attrs=_WIDE),
        help_text="Of all runs, beside the preset's: a line each, as in “rounds = 15”.",
    )
    text = forms.CharField(
        required=False,
        label="Plan",
        widget=forms.Textarea(attrs=_WIDE | {"rows": 14, "class": "code study-plan"}),
        help_text="TOML. What stands here counts, and the choices above do not.",
    )
    priority = forms.IntegerField(
        initial=services.BEHIND_SINGLE_RUNS,
        min_value=services.PRIORITIES[0],
        max_value=services.PRIORITIES[-1],
        help_text="Above 0 goes before runs of no study, below 0 behind them.",
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        models = self.fields["base_models"]
        assert isinstance(models, forms.MultipleChoiceField)
        open_ones = BaseModel.objects.filter(active=True).order_by("parameters", "hub_id")
        models.choices = [(name, name) for name in open_ones.values_list("hub_id", flat=True)]

    def plan(self) -> str:
        """The TOML of the study, of a form that was checked. Raises StudyRefused."""
        data = self.cleaned_data
        if data["text"].strip():
            return str(data["text"].replace("\r\n", "\n"))
        try:
            seeds = [int(seed) for seed in data["seeds"].replace(",", " ").split()]
        except ValueError as error:
            raise StudyRefused(["seeds are whole numbers with commas between"]) from error
        lists = {name: data[name] for name in ("base_models", "challenges", "strategies", "adapters")}
        head = {"title": data["title"], **({"preset": data["preset"]} if data["preset"] else {})}
        partitions = [_partition(line) for line in data["partitions"].splitlines() if line.strip()]
        lines = [*plans.written({**head, **lists, "seeds": seeds, "partitions": partitions or ["iid"]})]
        if data["settings"].strip():
            lines += ["[settings]", *data["settings"].strip().splitlines()]
        return "\n".join([*lines, ""])


def _partition(line: str) -> object:
    """A line of the field as the plan has it; what is wrong with it is said by reading the plan."""
    kind, *rest = line.split()
    if not rest:
        return kind
    made: dict[str, object] = {"kind": kind}
    for word in rest:
        if kind == "label" and word.isdecimal():
            made["labels"] = int(word)
            continue
        try:
            made["alpha"] = float(word)
        except ValueError:
            made["column"] = word
    return made


def initial_of(name: str) -> dict[str, Any]:
    """The form's first values: the plan of that name as text, or nothing."""
    try:
        return {"text": plans.named(name)}
    except EvaluationError:
        return {}


def known_plans() -> list[str]:
    return sorted(path.stem for path in plans.PLANS.glob("*.toml"))
