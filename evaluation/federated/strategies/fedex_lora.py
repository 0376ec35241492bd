"""FedEx-LoRA: "Exact Aggregation for Federated … Fine-Tuning of Foundation Models" (arXiv 2410.09432).

    Ā = Σ_k p_k A_k,   B̄ = Σ_k p_k B_k,   p_k = n_k / n
    R_{t+1} = R_t + (Σ_k p_k B_k A_k - B̄ Ā)

for each module. Clients train A and B from the means, on weights W + (alpha / rank) R, so that the global
model is exactly the mean of the clients'. What is added to R is Σ_k p_k (B_k - B̄)(A_k - Ā), which is the same
without its cancellation; R stays in factors, recompressed as far as fp32 tells them apart. A rank to cut it
to, as the paper has for short links, is the option `residual-rank`.

All of R travels to a client, since one that was not sampled for some rounds has none of it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy

from evaluation.federated.config import FederatedConfig
from evaluation.federated.factors import Arrays, Product, arrays_of, by_module, compressed, products, total
from evaluation.federated.strategies.fedavg import arguments
from evaluation.federated.strategies.updates import Update, UpdateStrategy, mean, terms_of


class FedExLora(UpdateStrategy):
    """Means of A and B, and what those lack. `limit` cuts the residual's rank; 0 keeps it exact."""

    def __init__(self, limit: int) -> None:
        super().__init__(**arguments())
        self.limit = limit

    def following(self, updates: Sequence[Update]) -> Arrays:
        """A, B and the factors of R of the next round."""
        weights = [update.weight for update in updates]
        before = products(self.sent, "residual")
        means, stacks = {}, {}
        for module, terms in terms_of(updates).items():
            b, a = mean([term.b for term in terms], weights), mean([term.a for term in terms], weights)
            lacking = total([Product(term.b - b, term.a - a) for term in terms], weights)
            known = [before[module]] if module in before else []
            means[module] = Product(b.astype(numpy.float32), a.astype(numpy.float32))
            stacks[module] = [*known, lacking]
        residuals = by_module(lambda stack: compressed(total(stack), self.limit), stacks)
        return arrays_of(means) | arrays_of(residuals, "residual")


def build(config: FederatedConfig) -> FedExLora:
    """With the run's limit."""
    return FedExLora(int(config.effective_options["residual-rank"]))
