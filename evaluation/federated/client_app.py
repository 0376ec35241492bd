"""The Flower ClientApp: tells which part of the data it holds, and trains the adapter it is sent.

A client keeps no state of its own. The message (configuration, adapter, what it would have kept) and the
node's partition decide all that it computes, so that any simulated process can serve any client.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from functools import cache, wraps
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
from flwr.app import Array, ArrayRecord, ConfigRecord, Context, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp

from evaluation.errors import EvaluationError, outage_of
from evaluation.federated import at_home, peak_memory
from evaluation.federated.config import FederatedConfig
from evaluation.federated.exchange import (
    ADAPTER,
    CONFIG,
    CONTROL,
    ENERGY,
    EXAMPLES,
    HARDWARE,
    HELD_OUT_LOSS,
    HOME,
    LEARNING_RATE,
    METRICS,
    OWN_ROWS,
    PARTITION,
    PEAK_RSS,
    PEAK_VRAM,
    PROXIMAL,
    PRUNE_DECAY,
    PRUNE_WEIGHT,
    RANK,
    ROUND,
    ROWS,
    STEPS,
    TRAIN_LOSS,
    TRAIN_SECONDS,
    TRAINS,
    WORKER,
    refusal,
)
from evaluation.federated.factors import Arrays, rank_in
from evaluation.metering.meter import EnergyMeter

if TYPE_CHECKING:
    from evaluation.federated.training import Work

# Tells this process from others in its replies.
_WORKER = secrets.randbits(48)

_measured: list[str] = []
"""Of which run the highest memory of this process is: its settings."""

_PRESENT = ExitStack()

# `training` imports torch, peft and transformers: seconds that a process which only names this app (Flower's
# simulation, `flwr run`) should not spend. Hence the imports inside the functions that train.


Answer = Callable[[Message, Context], Message]


def refusing(answer: Answer) -> Answer:
    """The same, but what cannot be done is answered in its own words; raised, Flower adds a traceback."""

    @wraps(answer)
    def answered(message: Message, context: Context) -> Message:
        try:
            return answer(message, context)
        except (EvaluationError, OSError, MemoryError) as error:
            known = outage_of(error) or error
            if not isinstance(known, EvaluationError):
                raise
            return refusal(message, known)

    return answered


@refusing
def introduce(message: Message, context: Context) -> Message:
    """Answer a query with the partition that this node holds and its number of rows; load the base model.

    The first client adds what of the untrained adapter only a base model's weights tell: DoRA's magnitudes.
    """
    from evaluation import hardware
    from evaluation.federated import data, local_model, partitioning

    config = _run_config(message, context)
    partition = _partition(config, context)
    if _measured != (run := [repr(config)]):  # a process may serve several runs, one after another
        _measured[:] = run
        peak_memory.forget()
    _meter()
    local = local_model.local_model(config)
    rows = data.read(config.train_data)
    examples = len(partitioning.split(config, rows).clients[partition])
    content = RecordDict(
        {
            METRICS: MetricRecord({PARTITION: partition, EXAMPLES: examples}),
            CONFIG: ConfigRecord(
                {HARDWARE: hardware.describe(), ROWS: rows.identity(config.partition.column)}
            ),
        }
    )
    if partition == 0 and local.magnitudes:
        content[ADAPTER] = _record(local.magnitudes)
    return Message(content, reply_to=message)


@refusing
def train(message: Message, context: Context) -> Message:
    """Train the adapter in the message on this node's rows and send what was trained, and what that took."""
    from evaluation import hardware
    from evaluation.federated import local_model, reply, training

    config = _run_config(message, context)
    partition = _partition(config, context)
    sent, home, control = (_arrays(message, record) for record in (ADAPTER, HOME, CONTROL))
    work = _work(message.content[CONFIG], home, control)
    gpu = hardware.gpu_uuid()
    meter = _meter()
    local_model.local_model(config)  # loaded, if it was not, before anything is measured
    with meter.measuring((gpu,) if gpu else ()) as measured:
        result = training.train(config, partition, work, sent | at_home.of_group(home, at_home.OWN))
    metrics = {
        EXAMPLES: len(training.tokenised(config, partition)),
        STEPS: result.steps,
        RANK: rank_in(result.arrays) or config.rank,
        TRAIN_LOSS: result.loss,
        TRAIN_SECONDS: result.seconds,
        PEAK_RSS: result.peak_rss_bytes,
        PEAK_VRAM: result.peak_vram_bytes or 0,
        WORKER: _WORKER,
    }
    energy = msgspec.json.encode(measured.energy).decode()
    content = RecordDict({METRICS: MetricRecord(metrics), CONFIG: ConfigRecord({ENERGY: energy})})
    path, received = work.learning_rate * result.steps, reply.Received(sent, home, control)
    for name, arrays in reply.of(config, partition, received, result.arrays, path).items():
        content[name] = _record(arrays)
    return Message(content, reply_to=message)


@cache
def _meter() -> EnergyMeter:
    """This process's, made before it loads a model. Others know of it until the process ends: between its
    clients' turns too, so that all rounds are measured alike."""
    meter = EnergyMeter()
    meter.measure_idle()
    _PRESENT.enter_context(meter.present())
    return meter


def _work(settings: ConfigRecord, home: Arrays, control: Arrays) -> Work:
    from evaluation.federated.local_terms import Pruning
    from evaluation.federated.strategies import scaffold
    from evaluation.federated.training import Work

    pruning = None
    if PRUNE_DECAY in settings:
        pruning = Pruning(float(settings[PRUNE_DECAY]), float(settings[PRUNE_WEIGHT]))
    return Work(
        server_round=int(settings[ROUND]),
        learning_rate=float(settings[LEARNING_RATE]),
        trains=str(settings[TRAINS]),
        rank=int(settings[RANK]),
        proximal_mu=float(settings.get(PROXIMAL, 0.0)),
        pruning=pruning,
        correction=scaffold.correction(control, at_home.of_group(home, at_home.CONTROL)),
    )


@refusing
def evaluate(message: Message, context: Context) -> Message:
    """Answer with the loss of the adapter in the message on rows that are not trained on, all or its own."""
    from evaluation.federated import training

    config, settings = _run_config(message, context), message.content[CONFIG]
    own = _partition(config, context) if settings.get(OWN_ROWS) else None
    arrays = _arrays(message) | at_home.of_group(_arrays(message, HOME), at_home.OWN)
    loss = training.held_out_loss(config, arrays, own, int(settings.get(RANK, config.rank)))
    return Message(RecordDict({METRICS: MetricRecord({HELD_OUT_LOSS: loss})}), reply_to=message)


def _run_config(message: Message, context: Context) -> FederatedConfig:
    """The run's settings, with the paths of this machine where its SuperNode was started with some."""
    config = FederatedConfig.from_run_config(message.content[CONFIG])
    places = {"model-path": "model", "train-data": "train_data"}
    own = {
        field: Path(str(context.node_config[key]))
        for key, field in places.items()
        if key in context.node_config
    }
    return replace(config, **own)  # type: ignore[arg-type]  # both are paths


def _partition(config: FederatedConfig, context: Context) -> int:
    """The number of this client. Raises EvaluationError when its SuperNode was started without one."""
    partition = context.node_config.get("partition-id")
    if not isinstance(partition, int) or not 0 <= partition < config.clients:
        raise EvaluationError(
            f"its SuperNode needs a partition-id from 0 to {config.clients - 1} in --node-config, "
            f"it has {partition}"
        )
    return partition


def _arrays(message: Message, record: str = ADAPTER) -> Arrays:
    return {name: array.numpy() for name, array in message.content.array_records.get(record, {}).items()}


def _record(arrays: Arrays) -> ArrayRecord:
    return ArrayRecord({name: Array(array) for name, array in arrays.items()})


app = ClientApp()
app.query()(introduce)
app.train()(train)
app.evaluate()(evaluate)
