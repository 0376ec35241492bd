"""A study beside figures that others published: declared results on the same base models and challenges."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from evaluation.rules.challenges import CHALLENGES
from portal.baselines.studies.table import CellResult, Table
from portal.submissions.models import Submission
from portal.submissions.rules import site_rules


@dataclass(frozen=True)
class Published:
    """A declared result that was taken over from another board; fractions."""

    entry: int
    team: str
    average: float
    method: str


@dataclass(frozen=True)
class Beside:
    """A base model on a challenge: the published figures, and the study's best."""

    base_model: str
    challenge: str
    published: tuple[Published, ...]
    own: CellResult

    @property
    def highest(self) -> Published:
        return self.published[0]

    @property
    def lowest(self) -> Published:
        return self.published[-1]

    @property
    def difference(self) -> float | None:
        """The study's best less the highest published."""
        return self.own.score.value - self.highest.average if self.own.score else None


def beside_published(table: Table) -> list[Beside]:
    """The pairs of the study for which figures are published, in the plan's order."""
    known = _declared(table.plan.base_models, table.plan.challenges)
    found = []
    for base_model in table.plan.base_models:
        for challenge in table.plan.challenges:
            figures = known.get((_name(base_model), challenge))
            if figures:
                cells = [r for r in table.of(challenge) if r.cell.base_model == base_model]
                own = max(cells, key=lambda r: r.score.value if r.score else -1.0)
                found.append(Beside(base_model, CHALLENGES[challenge].title, tuple(figures), own))
    return found


def _declared(
    base_models: Sequence[str], challenges: Sequence[str]
) -> Mapping[tuple[str, str], list[Published]]:
    """Complete declared results, the best first; boards name base models without their organisation."""
    names = {_name(base_model) for base_model in base_models}
    entries = (
        Submission.objects.filter(
            kind=Submission.Kind.IMPORTED, status=Submission.Status.PUBLISHED, challenge__in=challenges
        )
        .select_related("team", "base_model")
        .defer("base_model__tensors", "config_text", "adapter_config_text")
        .prefetch_related("declared_scores")
    )
    found = defaultdict(list)
    for entry in entries:
        scores = {score.benchmark: float(score.value) for score in entry.declared_scores.all()}
        if _name(entry.base_model.hub_id) in names and set(scores) >= set(
            site_rules(entry.challenge).benchmarks
        ):
            average = fmean(scores.values())
            made = Published(entry.pk, entry.team.name, average, entry.method)
            found[_name(entry.base_model.hub_id), entry.challenge].append(made)
    for figures in found.values():
        figures.sort(key=lambda one: -one.average)
    return found


def _name(hub_id: str) -> str:
    return hub_id.rpartition("/")[2].casefold()
