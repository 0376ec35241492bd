"""What strategies with an aggregate of their own have in common: Flower's frame around a step of arrays."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy
from flwr.app import Array, ArrayRecord, ConfigRecord, Message, MetricRecord
from flwr.serverapp import Grid
from flwr.serverapp.strategy import FedAvg

from evaluation.federated.exchange import ADAPTER, CONTROL, EXAMPLES, METRICS, STEPS
from evaluation.federated.factors import Arrays, Matrix, Product, products
from evaluation.federated.strategies.cohort import Cohort


@dataclass(frozen=True)
class Update:
    """What a client sent back, and its weight; the weights of a round add up to 1.

    `steps` are the local steps that it took, `control` the change of its control variates.
    """

    arrays: Arrays
    weight: float
    client: int = 0
    steps: int = 1
    control: Arrays = field(default_factory=dict)


class UpdateStrategy(FedAvg):
    """FedAvg's frame: one message for all, sound replies, mean metrics. Subclasses say what comes next."""

    def configure_train(
        self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid
    ) -> Iterable[Message]:
        """As FedAvg; keeps what is sent, and to whom."""
        self.sent: Arrays = arrays_in(arrays)
        self._clients = (
            {node: client for client, node in grid.clients.items()} if isinstance(grid, Cohort) else {}
        )
        return super().configure_train(server_round, arrays, config, grid)

    def aggregate_train(
        self,
        server_round: int,  # noqa: ARG002 - Flower's signature
        replies: Iterable[Message],
    ) -> tuple[ArrayRecord | None, MetricRecord | None]:
        """The arrays that `following` makes of the replies, and FedAvg's metrics."""
        answered = list(replies)
        rows = [float(reply.content[METRICS][EXAMPLES]) for reply in answered]
        updates = [
            Update(
                arrays=arrays_in(reply.content[ADAPTER]),
                weight=own / sum(rows),
                client=self._clients.get(reply.metadata.src_node_id, 0),
                steps=int(reply.content[METRICS].get(STEPS, 1)),
                control=arrays_in(reply.content.array_records.get(CONTROL, {})),
            )
            for reply, own in zip(answered, rows, strict=True)
        ]
        arrays = ArrayRecord({name: Array(array) for name, array in self.following(updates).items()})
        contents = [reply.content for reply in answered]
        return arrays, self.train_metrics_aggr_fn(contents, self.weighted_by_key)

    def following(self, updates: Sequence[Update]) -> Arrays:
        """The arrays that change with this round; `self.sent` are those it started from."""
        raise NotImplementedError


def arrays_in(record: Mapping[str, Array]) -> Arrays:
    """The arrays of a message's record."""
    return {name: array.numpy() for name, array in record.items()}


def terms_of(updates: Sequence[Update]) -> dict[str, list[Product]]:
    """Each module's products, in the order of the updates."""
    terms = [products(update.arrays) for update in updates]
    return {module: [term[module] for term in terms] for module in terms[0]}


def mean(arrays: Sequence[Matrix], weights: Sequence[float]) -> Matrix:
    """Σ_k weight_k · array_k in float64."""
    return numpy.average(numpy.asarray(arrays, numpy.float64), axis=0, weights=weights)
