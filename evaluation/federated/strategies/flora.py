"""FLoRA: "Federated Fine-Tuning … with Heterogeneous Low-Rank Adaptations" (arXiv 2409.05976).

    B = [p_1 B_1 … p_K B_K],   A = [A_1; …; A_K],   p_k = n_k / n
    R_{t+1} = R_t + B A = R_t + Σ_k p_k B_k A_k

for each module: the clients' matrices stacked, which makes the mean exact. Every round each client trains a
new pair, A_k random by seed, client and round and B_k zero, on weights W + (alpha / rank) R. So only R
travels down, nothing in the first round. R stays in factors, recompressed as far as fp32 tells them apart,
and the trained adapter is R. The option `residual-rank` cuts its rank, which the paper does not.
"""

from __future__ import annotations

from collections.abc import Sequence

from evaluation.federated.config import FederatedConfig
from evaluation.federated.factors import Arrays, arrays_of, by_module, compressed, products, total
from evaluation.federated.strategies.fedavg import arguments
from evaluation.federated.strategies.updates import Update, UpdateStrategy, terms_of


class Flora(UpdateStrategy):
    """Stacks. `limit` cuts the residual's rank; 0 keeps it exact."""

    def __init__(self, limit: int) -> None:
        super().__init__(**arguments())
        self.limit = limit

    def following(self, updates: Sequence[Update]) -> Arrays:
        """The factors of R of the next round. The clients' own ranks may differ."""
        weights = [update.weight for update in updates]
        before = products(self.sent, "residual")
        stacks = {
            module: [*([before[module]] if module in before else []), total(terms, weights)]
            for module, terms in terms_of(updates).items()
        }
        residuals = by_module(lambda stack: compressed(total(stack), self.limit), stacks)
        return arrays_of(residuals, "residual")


def build(config: FederatedConfig) -> Flora:
    """With the run's limit."""
    return Flora(int(config.effective_options["residual-rank"]))
