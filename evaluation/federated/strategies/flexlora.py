"""FlexLoRA: "Federated Fine-tuning of Large Language Models under Heterogeneous …" (arXiv 2402.11505).

    U Σ Vᵀ = Σ_k (n_k / n) B_k A_k,   B_{t+1} = U_r Σ_r,   A_{t+1} = V_rᵀ

for each module, with the r leading singular terms: no adapter of rank r is nearer to the mean of the clients'
products. That mean is never formed (evaluation.federated.factors.best). A's rows have norm 1 and B carries
the size, as in the first round, where A is random and B zero.
"""

from __future__ import annotations

from collections.abc import Sequence

from evaluation.federated.config import FederatedConfig
from evaluation.federated.factors import Arrays, arrays_of, best, by_module, total
from evaluation.federated.strategies.fedavg import arguments
from evaluation.federated.strategies.products import ProductStrategy, Update, terms_of


class FlexLora(ProductStrategy):
    """Cuts the mean product back to the adapter's rank."""

    def __init__(self, rank: int) -> None:
        super().__init__(**arguments())
        self.rank = rank

    def following(self, updates: Sequence[Update]) -> Arrays:
        """A and B of the next round. The clients' own ranks may differ."""
        weights = [update.weight for update in updates]
        return arrays_of(by_module(lambda terms: best(total(terms, weights), self.rank), terms_of(updates)))


def build(config: FederatedConfig) -> FlexLora:
    """For adapters of the run's rank."""
    return FlexLora(config.rank)
