"""FlexLoRA: "Federated Fine-tuning of Large Language Models under Heterogeneous …" (arXiv 2402.11505).

    U Σ Vᵀ = Σ_k (n_k / n) B_k A_k,   B_{t+1} = U_r Σ_r,   A_{t+1} = V_rᵀ

for each module, with the r leading singular terms: no adapter of rank r is nearer to the mean of the clients'
products. That mean is never formed (evaluation.federated.factors.best). A's rows have norm 1 and B carries
the size, as in the first round, where A is random and B zero.

On DoRA adapters, whose update the product alone is not, as the FlowerTune paper (arXiv 2506.02961) ran it:
the products as above, and of the magnitudes the weighted mean

    m_{t+1} = Σ_k (n_k / n) m_k
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy

from evaluation.federated.config import FederatedConfig
from evaluation.federated.factors import Arrays, arrays_of, best, by_module, total
from evaluation.federated.strategies.fedavg import arguments
from evaluation.federated.strategies.updates import Update, UpdateStrategy, mean, terms_of


class FlexLora(UpdateStrategy):
    """Cuts the mean product back to the adapter's rank."""

    def __init__(self, rank: int) -> None:
        super().__init__(**arguments())
        self.rank = rank

    def following(self, updates: Sequence[Update]) -> Arrays:
        """A and B of the next round, and the magnitudes where there are any. Clients' ranks may differ."""
        weights = [update.weight for update in updates]
        pairs = arrays_of(by_module(lambda terms: best(total(terms, weights), self.rank), terms_of(updates)))
        rest = [name for name in updates[0].arrays if name not in pairs]
        means = {name: mean([update.arrays[name] for update in updates], weights) for name in rest}
        return pairs | {name: array.astype(numpy.float32) for name, array in means.items()}


def build(config: FederatedConfig) -> FlexLora:
    """For adapters of the run's rank."""
    return FlexLora(config.rank)
