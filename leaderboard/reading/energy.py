"""Reads what answering and training took above idle, and how well such figures repeat."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from math import fsum
from typing import Any

from evaluation.energy import Spread, counted
from leaderboard.standing.energy import NetEnergy
from portal.runs.models import RoundMetric, Score

_Measured = tuple[float | None, str]  # joules above idle, and by which counters


@dataclass(frozen=True)
class Training:
    """By which counters a training's energy was told; `net` where it is known above idle."""

    method: str
    net: NetEnergy | None


def answer_energies(evaluations: Any) -> dict[int, NetEnergy]:
    """By evaluation what `answer_energy` says of its scores."""
    # Most have none: only those that a meter told of are read.
    metered = Score.objects.filter(evaluation__in=evaluations).exclude(energy_method="").order_by()
    scores = Score.objects.filter(evaluation__in=metered.values("evaluation")).order_by()
    rows: dict[int, list[tuple[int, float | None, str]]] = defaultdict(list)
    for pk, n, joules, method in scores.values_list("evaluation", "n", "energy_net_joules", "energy_method"):
        rows[pk].append((n, joules, method))
    return {pk: found for pk, own in rows.items() if (found := _for_each(own))}


def answer_energy(scores: Iterable[Score]) -> NetEnergy | None:
    """For an answer, on the mean over all items of these scores; None unless it is known of each."""
    return _for_each([(score.n, score.energy_net_joules, score.energy_method) for score in scores])


def trainings(submissions: Collection[int]) -> dict[int, Training]:
    """By submission, of those that a run of this site made and that a meter told of."""
    rows: dict[int, list[_Measured]] = defaultdict(list)
    rounds = RoundMetric.objects.filter(run__submission__in=submissions).order_by()
    for pk, joules, method in rounds.values_list("run__submission", "energy_net_joules", "energy_method"):
        if pk is not None:
            rows[pk].append((joules, method))
    found = {}
    for pk, own in rows.items():
        if method := _methods(own):
            net = _sum(own)
            found[pk] = Training(method, None if net is None else NetEnergy(net, _counters(own)))
    return found


def repeated(figures: Sequence[NetEnergy | None]) -> Spread | None:
    """Of the figures that were told as the first was; None where there is no second one."""
    known = [figure for figure in figures if figure]
    alike = [figure.joules for figure in known if figure.counters == known[0].counters]
    return Spread.of(alike) if len(alike) > 1 else None


def _for_each(rows: Sequence[tuple[int, float | None, str]]) -> NetEnergy | None:
    measured = [(joules, method) for _, joules, method in rows]
    joules, n = _sum(measured), sum(n for n, *_ in rows)
    return NetEnergy(joules / n, _counters(measured)) if joules is not None and n else None


def _sum(rows: Sequence[_Measured]) -> float | None:
    known = [joules for joules, _ in rows if joules is not None]
    return fsum(known) if known and len(known) == len(rows) else None


def _counters(rows: Sequence[_Measured]) -> str:
    return " and ".join(sorted({counted(method) for _, method in rows}))


def _methods(rows: Sequence[_Measured]) -> str:
    return " and ".join(sorted({method for _, method in rows if method}))
