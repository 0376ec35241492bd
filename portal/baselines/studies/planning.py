"""A study's plan on this site: its runs with the listed base models, and all that speaks against them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from evaluation.errors import EvaluationError
from evaluation.federated import study
from evaluation.federated.study import Cell, StudyPlan
from evaluation.findings import Finding, Severity
from portal.baselines import services
from portal.submissions.base_models import listed
from portal.submissions.models import BaseModel


class StudyRefused(Exception):
    """The study cannot start; `problems` says everything that stands against it. Nothing was started."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


@dataclass(frozen=True)
class SitePlan:
    """A plan whose base models are all listed here; `text` is its TOML."""

    text: str
    plan: StudyPlan
    base_models: dict[str, BaseModel]

    def run_of(self, cell: Cell, seed: int) -> services.PlannedRun:
        base_model = self.base_models[cell.base_model]
        return services.PlannedRun(base_model, services.settled(self.plan.config(cell, seed), base_model))


def on_site(text: str) -> SitePlan:
    """Read a plan and find its base models in the list. Raises StudyRefused."""
    try:
        plan = study.read(text)
    except study.PlanError as error:
        raise StudyRefused(error.problems) from error
    found = {name: listed(name) for name in plan.base_models}
    missing = [name for name, base_model in found.items() if base_model is None]
    if missing:
        raise StudyRefused(
            [f"{name} is not on the list of base models: `manage.py add_base_model`" for name in missing]
        )
    models = {name: base_model for name, base_model in found.items() if base_model}
    by_id: dict[int, list[str]] = {}
    for name, base_model in models.items():
        by_id.setdefault(base_model.pk, []).append(name)
    twice = [names for names in by_id.values() if len(names) > 1]
    if twice:
        raise StudyRefused([f"{' and '.join(names)} are the same base model" for names in twice])
    return SitePlan(text, plan, models)


def check(planned: SitePlan) -> list[Finding]:
    """What is to be known before the study starts, each thing once. Raises StudyRefused where it cannot."""
    refused: dict[str, list[Cell]] = {}
    known: dict[tuple[str, str], Finding] = {}
    for cell, found in _findings(planned):
        for finding in found:
            if finding.severity is Severity.ERROR:
                refused.setdefault(finding.message, []).append(cell)
            else:
                known.setdefault((finding.code, finding.message), finding)
    if refused:
        raise StudyRefused([_refusal(message, cells) for message, cells in refused.items()])
    return list(known.values())


def in_words(cell: Cell) -> str:
    """A cell for people: `SmolLM2-135M, finance, fedavg, lora`."""
    partition = "" if cell.partition.kind == "iid" else cell.partition_name
    base_model = cell.base_model.rpartition("/")[2]
    return ", ".join(filter(None, (base_model, cell.challenge, cell.strategy, cell.adapter, partition)))


def _refusal(message: str, cells: list[Cell]) -> str:
    """One problem with the cells that have it."""
    more = f" and {len(cells) - 1} more" if len(cells) > 1 else ""
    return f"cell {cells[0].number} ({in_words(cells[0])}){more}: {message}"


def _findings(planned: SitePlan) -> Iterator[tuple[Cell, list[Finding]]]:
    seed = planned.plan.seeds[0]
    for cell in planned.plan.cells:
        try:
            yield cell, services.findings(planned.run_of(cell, seed))
        except EvaluationError as error:
            raise StudyRefused([f"cell {cell.number} ({in_words(cell)}): {error}"]) from error
