"""Signals of membership: what of a row's log-probabilities is higher if the model was trained on it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

LOWEST_SHARE = 0.2
"""Of a row's tokens, for Min-K%."""

TITLES: Mapping[str, str] = MappingProxyType(
    {
        "loss_ratio": "Loss ratio to the base model",
        "min_k": "Min-K%",
        "base_alone": "Base model alone",
    }
)


@dataclass(frozen=True)
class RowProbabilities:
    """Natural logarithms of the probabilities of a row's learnt tokens, each given those before it.

    `client` is who held the row, None where that is not known, and of rows that the run held out.
    """

    is_member: bool
    client: int | None
    adapter: tuple[float, ...]
    base: tuple[float, ...]


def signals_of(row: RowProbabilities) -> Mapping[str, float]:
    """By name, each higher for what the model knows better.

    `loss_ratio` compares with the model before training, which takes out how hard a row is by itself (Carlini
    et al. 2021, arXiv 2012.07805, section 5; Mireshghallah et al. 2022, arXiv 2203.03929). `min_k` needs no
    second model (Shi et al. 2024, arXiv 2310.16789). `base_alone` knows nothing of the training: where it
    tells the two kinds of rows apart, they differ by themselves, and the others say little of membership.
    """
    base = mean(row.base)
    return {"loss_ratio": mean(row.adapter) - base, "min_k": min_k(row.adapter), "base_alone": base}


def min_k(logarithms: Sequence[float], share: float = LOWEST_SHARE) -> float:
    """The mean of the lowest share of them, rounded up."""
    count = max(1, math.ceil(share * len(logarithms)))
    return mean(sorted(logarithms)[:count])


def mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)
