"""What the strategies on products B·A have in common: Flower's frame around a step from arrays to arrays."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy
from flwr.app import Array, ArrayRecord, ConfigRecord, Message, MetricRecord
from flwr.serverapp import Grid
from flwr.serverapp.strategy import FedAvg

from evaluation.federated.exchange import ADAPTER, EXAMPLES, METRICS
from evaluation.federated.factors import Arrays, Matrix, Product, products


@dataclass(frozen=True)
class Update:
    """What a client sent back, and its weight; the weights of a round add up to 1."""

    arrays: Arrays
    weight: float


class ProductStrategy(FedAvg):
    """FedAvg's frame: one message for all, sound replies, mean metrics. Subclasses say what comes next."""

    def configure_train(
        self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid
    ) -> Iterable[Message]:
        """As FedAvg; keeps what is sent."""
        self.sent: Arrays = {name: array.numpy() for name, array in arrays.items()}
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
            Update({name: array.numpy() for name, array in reply.content[ADAPTER].items()}, own / sum(rows))
            for reply, own in zip(answered, rows, strict=True)
        ]
        arrays = ArrayRecord({name: Array(array) for name, array in self.following(updates).items()})
        contents = [reply.content for reply in answered]
        return arrays, self.train_metrics_aggr_fn(contents, self.weighted_by_key)

    def following(self, updates: Sequence[Update]) -> Arrays:
        """The arrays that change with this round; `self.sent` are those it started from."""
        raise NotImplementedError


def terms_of(updates: Sequence[Update]) -> dict[str, list[Product]]:
    """Each module's products, in the order of the updates."""
    terms = [products(update.arrays) for update in updates]
    return {module: [term[module] for term in terms] for module in terms[0]}


def mean(arrays: Sequence[Matrix], weights: Sequence[float]) -> Matrix:
    """Σ_k weight_k · array_k in float64."""
    return numpy.average(numpy.asarray(arrays, numpy.float64), axis=0, weights=weights)
