"""HetLoRA: "Heterogeneous LoRA for Federated Fine-tuning of On-Device Foundation Models" (arXiv 2401.06432).

Each client k has a rank r_k of its own, the server that of the largest. For each module

    truncation:   client k starts from A[:r_k] and B[:, :r_k]
    self-pruning: its loss is F_k + λ ‖B_k[:, γ r_k:]‖ ‖A_k[γ r_k:]‖; where the product of these norms is
                  smaller behind the round than before, the client cuts that part off: r_k becomes ⌊γ r_k⌋
    aggregation:  A = Σ_k (s_k / Σ_j s_j) A_k,  B = Σ_k (s_k / Σ_j s_j) B_k,  s_k = ‖B_k A_k‖_F

with the clients' matrices filled up with zeros to the server's rank ("sparsity-weighted"). γ is
`prune-decay`, 1 for no pruning, and λ is `prune-weight`. A rank never falls below 1. The norms that decide on
pruning are summed over the modules, as a client has one rank for all. What is ours: each module has weights
of its own; rows of A and columns of B that no client of a round has stay as they were, since from zero no
gradient leads back; the scale of all clients is that of the server's adapter, alpha over its rank; and λ's
default. That of γ is what others who compare the method give it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy
from flwr.app import ArrayRecord, ConfigRecord, Message
from flwr.serverapp import Grid

from evaluation.federated.config import FederatedConfig
from evaluation.federated.exchange import PRUNE_DECAY, PRUNE_WEIGHT
from evaluation.federated.factors import Arrays, Product, arrays_of, products
from evaluation.federated.strategies.fedavg import arguments
from evaluation.federated.strategies.updates import Update, UpdateStrategy, terms_of

_STATE = "ranks"


class HetLora(UpdateStrategy):
    """Keeps each client's rank, and weighs clients by the size of their products."""

    def __init__(self, config: FederatedConfig) -> None:
        super().__init__(**arguments())
        self._config = config
        self._pruned: dict[int, int] = {}

    def rank_of(self, client: int) -> int:
        """What pruning has left of a client's rank."""
        return self._pruned.get(client, self._config.rank_of(client))

    def configure_train(
        self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid
    ) -> Iterable[Message]:
        """As FedAvg, with what clients prune by."""
        options = self._config.effective_options
        if options["prune-decay"] < 1:
            config[PRUNE_DECAY], config[PRUNE_WEIGHT] = options["prune-decay"], options["prune-weight"]
        return super().configure_train(server_round, arrays, config, grid)

    def following(self, updates: Sequence[Update]) -> Arrays:
        """A and B of the next round."""
        terms, before = terms_of(updates), products(self.sent)
        ranks = [term.rank for term in next(iter(terms.values()))]
        self._pruned |= {
            update.client: rank
            for update, rank in zip(updates, ranks, strict=True)
            if rank < self._config.rank_of(update.client)
        }
        weights = [update.weight for update in updates]
        return arrays_of({name: _weighted(own, weights, before[name]) for name, own in terms.items()})

    def state(self) -> dict[str, Arrays]:
        """The ranks of the clients that pruned theirs."""
        pruned = {str(client): numpy.array(rank) for client, rank in sorted(self._pruned.items())}
        return {_STATE: pruned} if pruned else {}

    def restore(self, state: dict[str, Arrays]) -> None:
        """Go on from a saved state."""
        self._pruned = {int(client): int(rank) for client, rank in state.get(_STATE, {}).items()}


def _weighted(terms: Sequence[Product], by_rows: Sequence[float], before: Product) -> Product:
    """The sum weighted by ‖B_k A_k‖, by rows where all of these are zero; over what was there before."""
    sizes = [_norm(term) for term in terms]
    shares = [size / sum(sizes) for size in sizes] if sum(sizes) > 0 else by_rows
    top = max(term.rank for term in terms)
    a, b = before.a.astype(numpy.float64), before.b.astype(numpy.float64)
    a[:top], b[:, :top] = 0, 0
    for term, share in zip(terms, shares, strict=True):
        a[: term.rank] += share * term.a
        b[:, : term.rank] += share * term.b
    return Product(b.astype(numpy.float32), a.astype(numpy.float32))


def _norm(term: Product) -> float:
    """‖B A‖_F from the two small Gram matrices."""
    b, a = term.b.astype(numpy.float64), term.a.astype(numpy.float64)
    return float(numpy.sqrt(max(0.0, float(((b.T @ b) * (a @ a.T)).sum()))))


def build(config: FederatedConfig) -> HetLora:
    """With the run's ranks and pruning."""
    return HetLora(config)
