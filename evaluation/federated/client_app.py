"""The Flower ClientApp: tells which part of the data it holds, and trains the adapter it is sent.

A client keeps no state of its own. The message (configuration, adapter) and the node's partition decide all
that it computes, so that any simulated process can serve any client.
"""

from __future__ import annotations

from flwr.app import Array, ArrayRecord, ConfigRecord, Context, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp

from evaluation.federated.config import FederatedConfig
from evaluation.federated.exchange import (
    ADAPTER,
    CONFIG,
    EXAMPLES,
    HARDWARE,
    LEARNING_RATE,
    METRICS,
    PARTITION,
    PEAK_RSS,
    PEAK_VRAM,
    ROUND,
    TRAIN_LOSS,
    TRAIN_SECONDS,
)

# `training` imports torch, peft and transformers: seconds that a process which only names this app (Flower's
# simulation, `flwr run`) should not spend. Hence the imports inside the functions that train.


def introduce(message: Message, context: Context) -> Message:
    """Answer a query with the partition that this node holds and its number of rows; load the base model."""
    from evaluation.federated import data, hardware, partitioning, training

    config = FederatedConfig.from_run_config(message.content[CONFIG])
    partition = int(context.node_config["partition-id"])
    training.local_model(config)
    examples = len(partitioning.split(config, data.read(config.train_data)).clients[partition])
    content = RecordDict(
        {
            METRICS: MetricRecord({PARTITION: partition, EXAMPLES: examples}),
            CONFIG: ConfigRecord({HARDWARE: hardware.describe()}),
        }
    )
    return Message(content, reply_to=message)


def train(message: Message, context: Context) -> Message:
    """Train the adapter in the message on this node's rows and send it back with what that took."""
    from evaluation.federated import training

    settings = message.content[CONFIG]
    config = FederatedConfig.from_run_config(settings)
    partition = int(context.node_config["partition-id"])
    arrays = {name: array.numpy() for name, array in message.content[ADAPTER].items()}
    result = training.train(config, partition, int(settings[ROUND]), float(settings[LEARNING_RATE]), arrays)
    metrics = {
        EXAMPLES: len(training.tokenised(config, partition)),
        TRAIN_LOSS: result.loss,
        TRAIN_SECONDS: result.seconds,
        PEAK_RSS: result.peak_rss_bytes,
        PEAK_VRAM: result.peak_vram_bytes or 0,
    }
    adapter = ArrayRecord({name: Array(array) for name, array in result.arrays.items()})
    return Message(RecordDict({ADAPTER: adapter, METRICS: MetricRecord(metrics)}), reply_to=message)


app = ClientApp()
app.query()(introduce)
app.train()(train)
