"""Who takes part in a round.

That is not left to the strategy: Flower's would draw clients from the global random state in the order of
random node ids. `Cohort` shows it only the nodes that were chosen by seed.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from evaluation.federated.config import FederatedConfig
from evaluation.method.strategies import get


@dataclass(frozen=True)
class Cohort:
    """The part of Flower's Grid that a strategy reads when it configures a round: nodes by client."""

    clients: Mapping[int, int]

    def get_node_ids(self) -> Sequence[int]:
        """The nodes of this round."""
        return list(self.clients.values())


def choose(config: FederatedConfig, rows: Mapping[int, int], server_round: int) -> list[int]:
    """The clients of a round, out of those with their numbers of rows: see `StrategyInfo.cohort`."""
    kind = get(config.strategy).cohort
    if kind == "one":
        return [min(rows)]
    if kind == "largest":
        return sorted(rows, key=lambda client: (-rows[client], client))[: config.clients_per_round]
    return sample(list(rows), config.clients_per_round, config.seed, server_round)


def sample(clients: Sequence[int], count: int, seed: int, server_round: int) -> list[int]:
    """`count` distinct clients for a round, in order; decided by seed and round alone."""
    order = random.Random(f"{seed}/{server_round}")  # noqa: S311 - reproducible, not secret
    return sorted(order.sample(sorted(clients), count))
