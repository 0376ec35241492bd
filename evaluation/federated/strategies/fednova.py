"""FedNova: "Tackling the Objective Inconsistency Problem in Heterogeneous Federated …" (arXiv 2007.07481).

    w_{t+1} = w_t + τ_eff Σ_k p_k (w_k - w_t) / τ_k,   τ_eff = Σ_k p_k τ_k,   p_k = n_k / n

with τ_k the local steps of client k: its change is taken per step, so that clients that take more steps do
not count for more than their rows. That is the paper's τ_eff and its normalisation for plain local steps,
‖a_k‖₁ = τ_k, which we take for AdamW's steps too. Where all take as many steps it is FedAvg.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy

from evaluation.federated.config import FederatedConfig
from evaluation.federated.factors import Arrays
from evaluation.federated.strategies.fedavg import arguments
from evaluation.federated.strategies.updates import Update, UpdateStrategy


class FedNova(UpdateStrategy):
    """Normalises each client's change by its steps."""

    def following(self, updates: Sequence[Update]) -> Arrays:
        """The arrays of the next round."""
        effective = sum(update.weight * update.steps for update in updates)
        after = {}
        for name in updates[0].arrays:
            start = self.sent[name].astype(numpy.float64)
            mean = sum(update.weight / update.steps * (update.arrays[name] - start) for update in updates)
            after[name] = (start + effective * mean).astype(numpy.float32)
        return after


def build(_config: FederatedConfig) -> FedNova:
    """Nothing to choose."""
    return FedNova(**arguments())
