"""The aggregation strategies, as Flower implements them, by the names that `--strategy` takes.

Which clients take part in a round is not left to the strategy: it would draw them from the global random
state in the order of random node ids. `Cohort` shows it only the nodes that were sampled by seed.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from flwr.serverapp.strategy import FedAvg, Strategy

from evaluation.federated.config import FederatedConfig
from evaluation.federated.exchange import ADAPTER, CONFIG, EXAMPLES


@dataclass(frozen=True)
class Cohort:
    """The part of Flower's Grid that a strategy reads when it configures a round."""

    nodes: tuple[int, ...]

    def get_node_ids(self) -> Sequence[int]:
        """The nodes of this round."""
        return self.nodes


def sample(clients: Sequence[int], count: int, seed: int, server_round: int) -> list[int]:
    """`count` distinct clients for a round, in order; decided by seed and round alone."""
    order = random.Random(f"{seed}/{server_round}")  # noqa: S311 - reproducible, not secret
    return sorted(order.sample(sorted(clients), count))


def fedavg(config: FederatedConfig) -> Strategy:
    """FedAvg (arXiv 1602.05629): the mean of the clients' adapters, weighted by their numbers of rows."""
    return FedAvg(
        fraction_train=1.0,  # of the cohort
        fraction_evaluate=0.0,
        min_train_nodes=config.clients_per_round,
        min_available_nodes=config.clients_per_round,
        weighted_by_key=EXAMPLES,
        arrayrecord_key=ADAPTER,
        configrecord_key=CONFIG,
    )


STRATEGIES: dict[str, Callable[[FederatedConfig], Strategy]] = {"fedavg": fedavg}
