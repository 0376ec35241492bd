"""Who takes part in a round.

That is not left to the strategy: Flower's would draw clients from the global random state in the order of
random node ids. `Cohort` shows it only the nodes that were chosen by seed.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass


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
