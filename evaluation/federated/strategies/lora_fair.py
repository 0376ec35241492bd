"""LoRA-FAIR: "Federated LoRA Fine-Tuning with Aggregation and Initialization Refinement" (arXiv 2411.14961).

    Ā = Σ_k p_k A_k,   B̄ = Σ_k p_k B_k,   ΔW = Σ_k p_k B_k A_k,   p_k = n_k / n
    ΔB = argmin S(ΔW, (B̄ + ΔB) Ā) + λ ‖ΔB‖,   B_{t+1} = B̄ + ΔB,   A_{t+1} = Ā

for each module: B makes up for what the product of the means lacks of the mean product, and clients go on
from Ā, which keeps its meaning from round to round. λ is `refinement`, 0.01 as in the paper. The paper
measures S by the cosine between the two products and takes steps of gradient descent; a cosine leaves their
size open. Ours are squared Frobenius norms, of the distance and of ΔB, so that the minimum has a closed form:

    ΔB = (ΔW - B̄ Ā) Āᵀ (Ā Āᵀ + λ I)⁻¹

Neither product is formed: all sums are of matrices with the rank as one side.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy

from evaluation.federated.config import FederatedConfig
from evaluation.federated.factors import Arrays, Product, arrays_of, by_module
from evaluation.federated.strategies.fedavg import arguments
from evaluation.federated.strategies.updates import Update, UpdateStrategy, mean, terms_of


class LoraFair(UpdateStrategy):
    """Means, and B refined. `weight` is λ."""

    def __init__(self, weight: float) -> None:
        super().__init__(**arguments())
        self.weight = weight

    def following(self, updates: Sequence[Update]) -> Arrays:
        """A and B of the next round."""
        weights = [update.weight for update in updates]
        return arrays_of(by_module(lambda terms: self._refined(terms, weights), terms_of(updates)))

    def _refined(self, terms: Sequence[Product], weights: Sequence[float]) -> Product:
        b, a = mean([term.b for term in terms], weights), mean([term.a for term in terms], weights)
        # ΔW - B̄ Ā = Σ p_k (B_k - B̄)(A_k - Ā), without its cancellation; times Āᵀ.
        lacking = sum(
            weight * ((term.b - b) @ ((term.a - a) @ a.T))
            for term, weight in zip(terms, weights, strict=True)
        )
        gram = a @ a.T + self.weight * numpy.eye(len(a))
        refined = b + lacking @ numpy.linalg.pinv(gram, hermitian=True)
        return Product(refined.astype(numpy.float32), a.astype(numpy.float32))


def build(config: FederatedConfig) -> LoraFair:
    """With the run's λ."""
    return LoraFair(config.effective_options["refinement"])
