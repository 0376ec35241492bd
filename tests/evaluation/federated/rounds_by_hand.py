"""One round of a strategy on arrays made by hand, without clients and without training."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy
from flwr.app import Array, ArrayRecord, ConfigRecord, Message, MetricRecord, RecordDict

from evaluation.federated.exchange import ADAPTER, CONTROL, EXAMPLES, METRICS, STEPS
from evaluation.federated.factors import Arrays
from evaluation.federated.strategies.cohort import Cohort

MODULE = "model.q_proj"
A, B = f"{MODULE}.lora_A.weight", f"{MODULE}.lora_B.weight"


def adapter(seed: int, outputs: int = 5, inputs: int = 4, rank: int = 2) -> Arrays:
    """One module's random A and B."""
    random = numpy.random.default_rng(seed)
    return {
        A: random.normal(size=(rank, inputs)).astype(numpy.float32),
        B: random.normal(size=(outputs, rank)).astype(numpy.float32),
    }


def one_round(
    strategy: Any,
    arrays: Arrays,
    updates: Sequence[tuple[Arrays, int]],
    server_round: int = 1,
    *,
    steps: Sequence[int] = (),
    controls: Sequence[Arrays] = (),
) -> Arrays:
    """What the strategy makes of these clients' arrays and numbers of rows, over what it was.

    `steps` are those that each client took, `controls` the changes of its control variates.
    """
    cohort = Cohort({client: client + 100 for client in range(len(updates))})
    sent = list(strategy.configure_train(server_round, record(arrays), ConfigRecord({}), cohort))
    by_node = {message.metadata.dst_node_id: message for message in sent}
    replies = []
    for client, (own, rows) in enumerate(updates):
        message = by_node[client + 100]
        message.metadata.__dict__["_message_id"] = f"message-{client}"
        metrics = {EXAMPLES: rows} | ({STEPS: steps[client]} if steps else {})
        content = RecordDict({ADAPTER: record(own), METRICS: MetricRecord(metrics)})
        if controls:
            content[CONTROL] = record(controls[client])
        replies.append(Message(content, reply_to=message))
    aggregated, _ = strategy.aggregate_train(server_round, replies)
    return arrays | {name: array.numpy() for name, array in aggregated.items()}


def record(arrays: Arrays) -> ArrayRecord:
    return ArrayRecord({name: Array(array) for name, array in sorted(arrays.items())})
