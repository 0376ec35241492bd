"""What a study will take, from what runs and evaluations were measured to take here.

A rate is a cost divided by the work that it was measured on: for training the tokens that clients may see
times the base model's parameters, for an evaluation the parameters alone. Rates of the same base model in the
same precision count where there are some, else those of its precision, else all.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import quantiles
from typing import Any

from django.conf import settings
from django.db.models import Sum

from evaluation.checkpoints.base_model import BaseModelTensors
from evaluation.federated.planned import method_card
from evaluation.method.communication import FP32_BYTES, adapter_parameters
from evaluation.rules.challenges import CHALLENGES
from portal.baselines import services
from portal.baselines.studies.planning import SitePlan
from portal.runs.forecast import FEW
from portal.runs.models import BaselineRun, Evaluation, Score

MEASURED = 200
"""So many of the latest runs and evaluations give the rates."""

BF16_BYTES = 2
"""A parameter of a base model as it lies on a disk."""


@dataclass(frozen=True)
class Span:
    """From little to much of a cost."""

    low: float
    high: float

    def __add__(self, other: Span) -> Span:
        return Span(self.low + other.low, self.high + other.high)

    def times(self, factor: float) -> Span:
        return Span(self.low * factor, self.high * factor)


@dataclass(frozen=True)
class Estimate:
    """What a study takes; None where nothing was measured that tells it.

    `training` and `evaluation` are a worker's seconds, `gpu` those of training on GPUs, `energy` joules of
    training and evaluating as far as either is known. `communication` are bytes of the runs' messages,
    `adapters` bytes to keep, `weights` of base models that workers have to fetch. `basis` says in sentences
    what they are from and what is missing.
    """

    cells: int
    runs: int
    communication: int | None
    adapters: int | None
    weights: int
    training: Span | None
    gpu: Span | None
    evaluation: Span | None
    energy: Span | None
    basis: tuple[str, ...]

    @property
    def on_the_clock(self) -> Span | None:
        """Training and evaluating one after another on one worker."""
        if self.training is None or self.evaluation is None:
            return None
        return self.training + self.evaluation

    @property
    def disk(self) -> int | None:
        return None if self.adapters is None else self.adapters + self.weights


@dataclass(frozen=True)
class _Past:
    """A run or an evaluation of the past: what it was like, its work, and what was measured."""

    base_model: int
    likeness: str
    work: float
    seconds: float | None
    gpu: float | None
    energy: float | None


def estimate(planned: SitePlan) -> Estimate:
    """What is known of a plan before it starts."""
    trained, evaluated = _trained(), _evaluated()
    seeds = len(planned.plan.seeds)
    costs: dict[str, list[Span | None]] = {"training": [], "gpu": [], "evaluation": []}
    energies: dict[str, list[Span | None]] = {"training": [], "evaluation": []}
    sent: list[int | None] = []
    kept: list[int | None] = []
    precisions: set[str] = set()
    shapes = {pk: BaseModelTensors.from_json(model.tensors) if model.tensors else None
              for pk, model in planned.base_models.items()}  # fmt: skip
    for cell in planned.plan.cells:
        run = planned.run_of(cell, planned.plan.seeds[0])
        config, base_model = run.config.as_dict(), run.base_model
        size = base_model.parameters or 0
        precisions.add(run.config.precision)
        work = _work(config, size, int(config["rounds"]))
        training = _Rates(trained, base_model.pk, str(config["precision"]))
        evaluating = _Rates(evaluated, base_model.pk, cell.challenge, needs_likeness=True)
        costs["training"].append(training.of("seconds", work))
        costs["gpu"].append(training.of("gpu", work))
        costs["evaluation"].append(evaluating.of("seconds", size))
        energies["training"].append(training.of("energy", work))
        energies["evaluation"].append(evaluating.of("energy", size))
        sent.append(services.communication(run))
        tensors = shapes[cell.base_model]
        parameters = adapter_parameters(method_card(run.config), tensors) if tensors else None
        kept.append(None if parameters is None else parameters * FP32_BYTES)
    spans = {name: _total(found, seeds) for name, found in costs.items()}
    energy = [total for found in energies.values() if (total := _total(found, seeds))]
    return Estimate(
        cells=len(planned.plan.cells),
        runs=planned.plan.runs,
        communication=_sum(sent, seeds),
        adapters=_sum(kept, seeds),
        weights=sum(
            (m.parameters or 0) * BF16_BYTES for m in planned.base_models.values() if not m.local_path
        ),
        training=spans["training"],
        gpu=spans["gpu"],
        evaluation=spans["evaluation"],
        energy=sum(energy[1:], energy[0]) if energy else None,
        basis=(*_basis(planned, trained, evaluated, energies, spans), *_unlike(precisions, trained)),
    )


class _Rates:
    """What one unit of work cost in those of the past that are most like what is planned."""

    def __init__(
        self, past: Sequence[_Past], base_model: int, likeness: str, *, needs_likeness: bool = False
    ) -> None:
        alike = [one for one in past if one.likeness == likeness]
        same = [one for one in alike if one.base_model == base_model]
        self._chosen: Sequence[Sequence[_Past]] = (same, alike) if needs_likeness else (same, alike, past)

    def of(self, cost: str, work: float) -> Span | None:
        """The cost of so much work: the middle half of the rates, with few of them half to double."""
        for past in self._chosen:
            known = [
                value / one.work for one in past if (value := getattr(one, cost)) is not None and one.work
            ]
            if known and work:
                return _spread(known).times(work)
        return None


def _spread(rates: Sequence[float]) -> Span:
    if len(rates) < FEW:
        return Span(min(rates) / 2, max(rates) * 2)
    quarters = quantiles(rates, n=4, method="inclusive")
    return Span(quarters[0], quarters[2])


def _work(config: Mapping[str, Any], parameters: int, rounds: int) -> float:
    """Tokens that all clients may see, times the base model's parameters."""
    names = ("clients_per_round", "local_steps", "batch_size", "sequence_length")
    work = float(parameters) * rounds
    for name in names:
        work *= config[name]
    return work


def _trained() -> list[_Past]:
    runs = BaselineRun.objects.filter(rounds_done__gt=0).annotate(
        seconds=Sum("round_metrics__seconds"),
        gpu=Sum("round_metrics__gpu_seconds"),
        energy=Sum("round_metrics__energy_joules"),
    )
    found = runs.order_by("-pk").values(
        "base_model",
        "base_model__parameters",
        "precision",
        "config",
        "rounds_done",
        "seconds",
        "gpu",
        "energy",
    )
    return [
        _Past(
            base_model=row["base_model"],
            likeness=row["precision"],
            work=_work(row["config"], row["base_model__parameters"] or 0, row["rounds_done"]),
            seconds=row["seconds"],
            gpu=row["gpu"] or None,
            energy=row["energy"] or None,
        )
        for row in found[:MEASURED]
    ]


def _evaluated() -> list[_Past]:
    succeeded = Evaluation.objects.filter(
        status=Evaluation.Status.SUCCEEDED, protocol=settings.LEADERBOARD_PROTOCOLS[0]
    )
    latest = list(succeeded.order_by("-pk").values_list("pk", flat=True)[:MEASURED])
    totals = Score.objects.filter(evaluation__in=latest).values(
        "evaluation", "evaluation__base_model", "evaluation__base_model__parameters",
        "evaluation__submission__challenge",
    )  # fmt: skip
    return [
        _Past(
            base_model=row["evaluation__base_model"],
            likeness=row["evaluation__submission__challenge"],
            work=float(row["evaluation__base_model__parameters"] or 0),
            seconds=row["took"],
            gpu=None,
            energy=row["used"] or None,
        )
        for row in totals.annotate(took=Sum("seconds"), used=Sum("energy_joules"))
    ]


def _total(spans: Iterable[Span | None], factor: int) -> Span | None:
    """Of all cells; None where one is not known."""
    total = Span(0, 0)
    for span in spans:
        if span is None:
            return None
        total += span
    return total.times(factor)


def _sum(values: Iterable[int | None], factor: int) -> int | None:
    known = list(values)
    return None if None in known else factor * sum(value for value in known if value is not None)


def _basis(
    planned: SitePlan,
    trained: Sequence[_Past],
    evaluated: Sequence[_Past],
    energies: Mapping[str, Sequence[Span | None]],
    spans: Mapping[str, Span | None],
) -> Iterable[str]:
    if trained:
        yield f"Training from {_count(trained, 'run')} measured here{_strange(planned, trained)}."
    else:
        yield "No run was measured here yet, so the time of training is not known."
    if spans["evaluation"] is not None:
        yield f"Evaluating from {_count(evaluated, 'evaluation')}{_strange(planned, evaluated)}."
    else:
        known = {one.likeness for one in evaluated if one.work}
        new = [CHALLENGES[slug].title for slug in planned.plan.challenges if slug not in known]
        reason = " and ".join(new) or "a base model of unknown size"
        yield f"The time of evaluating is not known: {reason} is new here."
    if trained and spans["gpu"] is None:
        yield "No run on a GPU was measured, so GPU hours are not known."
    words = {"training": "training", "evaluation": "evaluating"}
    lacking = [words[name] for name, found in energies.items() if None in found]
    if lacking:
        yield f"The energy of {' and of '.join(lacking)} is not in the sum: nothing alike was metered."
    yield "Starting processes and loading base models comes on top, and disk of answers and states under way."


def _unlike(precisions: set[str], trained: Sequence[_Past]) -> Iterable[str]:
    """Where the plan's runs are in a precision that none of the past was in."""
    known = {one.likeness for one in trained}
    if trained and precisions - known:
        lacking, others = ", ".join(sorted(precisions - known)), ", ".join(sorted(known))
        yield f"No run in {lacking} was measured: the rates are of {others}, maybe on other devices."


def _strange(planned: SitePlan, past: Sequence[_Past]) -> str:
    """Which base models of the plan were never measured."""
    known = {one.base_model for one in past}
    strange = [model.name for model in planned.base_models.values() if model.pk not in known]
    return f"; scaled by parameters for {', '.join(strange)}" if strange else ""


def _count(past: Sequence[_Past], what: str) -> str:
    return f"{len(past)} {what}{'s' if len(past) != 1 else ''}"
