"""The local-only reference: clients train alone, nothing is ever aggregated.

    w_k of round t+1 = what client k made of its w_k of round t,   the run's adapter is w_1

The clients are the `clients_per_round` ones with the most rows, the same in all rounds, so that the run does
the work of a federated one. The adapter that counts, is evaluated and exported, is that of the client with
the most rows (of equal ones the first): choosing by a score would flatter it. The train loss is the mean over
all of them. They have no one to communicate with: what our messages carry, as these clients keep no state, is
not counted.
"""

from __future__ import annotations

from collections.abc import Iterable

from flwr.app import Array, ArrayRecord, ConfigRecord, Message, MessageType, MetricRecord, RecordDict
from flwr.serverapp import Grid
from flwr.serverapp.strategy import FedAvg

from evaluation.federated.config import FederatedConfig
from evaluation.federated.exchange import ADAPTER, CONFIG, ROUND
from evaluation.federated.factors import Arrays
from evaluation.federated.strategies.cohort import Cohort
from evaluation.federated.strategies.fedavg import arguments


class LocalOnly(FedAvg):
    """Sends each client its own adapter back. The grid it is given is a `Cohort`, its first client counts."""

    def __init__(self) -> None:
        super().__init__(**arguments())
        self._own: dict[str, Arrays] = {}
        self._clients: dict[int, str] = {}  # of this round, by node
        self._counts = ""

    def configure_train(
        self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid
    ) -> Iterable[Message]:
        """One message a client, with what it sent last; `arrays` before the first time."""
        assert isinstance(grid, Cohort)
        self._clients = {node: f"client-{client}" for client, node in grid.clients.items()}
        self._counts = next(iter(self._clients.values()))
        config[ROUND] = server_round
        return [
            Message(
                RecordDict({ADAPTER: self._adapter_of(client, arrays), CONFIG: config}),
                dst_node_id=node,
                message_type=MessageType.TRAIN,
            )
            for node, client in self._clients.items()
        ]

    def _adapter_of(self, client: str, initial: ArrayRecord) -> ArrayRecord:
        own = self._own.get(client)
        return initial if own is None else ArrayRecord({name: Array(array) for name, array in own.items()})

    def aggregate_train(
        self, server_round: int, replies: Iterable[Message]
    ) -> tuple[ArrayRecord | None, MetricRecord | None]:
        """Keeps each client's adapter; returns that of the client that counts."""
        kept = list(replies)
        for reply in kept:
            own = {name: array.numpy() for name, array in reply.content[ADAPTER].items()}
            self._own[self._clients[reply.metadata.src_node_id]] = own
        _, metrics = super().aggregate_train(server_round, kept)
        counting = self._own.get(self._counts, {})
        return ArrayRecord({name: Array(array) for name, array in counting.items()}), metrics

    def state(self) -> dict[str, Arrays]:
        """Every client's adapter."""
        return dict(self._own)

    def restore(self, state: dict[str, Arrays]) -> None:
        """Go on from a saved state."""
        self._own = dict(state)


def build(_config: FederatedConfig) -> LocalOnly:
    """Nothing to choose."""
    return LocalOnly()
