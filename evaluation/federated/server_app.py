"""The Flower ServerApp: meets the clients, runs the rounds and writes the trained adapter."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from logging import INFO
from pathlib import Path
from threading import Event

from flwr.app import ConfigRecord, Context, Message, MessageType, RecordDict
from flwr.common import log
from flwr.serverapp import Grid, ServerApp
from flwr.serverapp.strategy import Strategy

from evaluation.checkpoints import base_model_tensors
from evaluation.errors import EvaluationError
from evaluation.federated import data, strategies
from evaluation.federated.checks import check, check_output
from evaluation.federated.config import FederatedConfig
from evaluation.federated.exchange import (
    ADAPTER,
    CONFIG,
    EXAMPLES,
    HARDWARE,
    METRICS,
    PARTITION,
    Exchange,
)
from evaluation.federated.factors import Arrays

# Flower keeps a message no longer than this either.
TIMEOUT_SECONDS = 12 * 3600.0


@dataclass(frozen=True)
class Job:
    """A run that can start: where its result goes, who is told how it goes on, and what can stop it."""

    config: FederatedConfig
    rows: data.TrainingData
    strategy: Strategy
    output: Path
    report: Callable[[str], None]
    stop: Event = field(default_factory=Event)


def prepare(config: FederatedConfig, output: Path, report: Callable[[str], None]) -> Job:
    """Refuse a run that cannot work, before anything is started. Raises EvaluationError with one line."""
    check(config)
    check_output(output)
    rows = data.read(config.train_data)
    check(config, len(rows.rows), base_model_tensors(config.model))
    return Job(config, rows, strategies.build(config), output, report)


def federate(grid: Grid, job: Job) -> None:
    """Train and write the output folder, all of it or nothing.

    Raises EvaluationError for whatever makes the run impossible or fruitless.
    """
    started, config = time.perf_counter(), job.config
    exchange = Exchange(grid, job.stop, TIMEOUT_SECONDS)
    queries = exchange.send(_queries(config, exchange.nodes(config.clients)))
    # The clients import and load now, and so does this process: hence the order, and imports after `send`.
    from evaluation.federated import results, rounds
    from evaluation.federated.adapter import GlobalAdapter

    adapter = GlobalAdapter(config)
    clients = _introductions(config, exchange.receive(queries))
    startup = time.perf_counter() - started
    job.report(
        f"ready after {startup:.1f} s: {len(clients.nodes)} clients, {len(job.rows.rows)} rows of "
        f"{job.rows.name}, {adapter.parameters():,} trainable parameters, on {clients.hardware}"
    )
    federation = rounds.Federation(config, job.strategy, exchange, clients.nodes, clients.rows)
    last = rounds.run(
        federation,
        rounds.Progress(dict(sorted((adapter.arrays() | clients.magnitudes).items()))),
        lambda progress: job.report(results.line(progress.records[-1], config.rounds)),
    )
    seconds = time.perf_counter() - started
    run = results.Run(config, job.rows, last.records, clients.hardware, startup, seconds)
    results.write(run, adapter, last.adapter, job.output)
    job.report(f"wrote {job.output} after {seconds:.1f} s")


def _queries(config: FederatedConfig, nodes: list[int]) -> list[Message]:
    """One message a node that asks what part of the data it holds."""
    settings = ConfigRecord(config.run_config())
    return [
        Message(RecordDict({CONFIG: settings}), dst_node_id=node, message_type=MessageType.QUERY)
        for node in nodes
    ]


@dataclass(frozen=True)
class _Clients:
    """Who takes part: each partition's node id and number of rows, in order, and what they run on.

    `magnitudes` are the first values of DoRA's magnitude vectors, which only the base weights tell.
    """

    nodes: dict[int, int]
    rows: dict[int, int]
    hardware: str
    magnitudes: Arrays


def _introductions(config: FederatedConfig, replies: list[Message]) -> _Clients:
    """What the clients answered. Raises EvaluationError when one fails or does not answer."""
    for reply in replies:
        if reply.has_error():
            raise EvaluationError(f"a client cannot take part: {reply.error.reason}")
    by_client = {int(reply.content[METRICS][PARTITION]): reply for reply in replies}
    if len(by_client) < config.clients:
        raise EvaluationError(f"only {len(by_client)} of {config.clients} clients answered")
    ordered = dict(sorted(by_client.items()))
    magnitudes = ordered[0].content.array_records.get(ADAPTER, {})
    return _Clients(
        nodes={client: reply.metadata.src_node_id for client, reply in ordered.items()},
        rows={client: int(reply.content[METRICS][EXAMPLES]) for client, reply in ordered.items()},
        hardware=" and ".join(sorted({str(reply.content[CONFIG][HARDWARE]) for reply in replies})),
        magnitudes={name: array.numpy() for name, array in magnitudes.items()},
    )


def main(grid: Grid, context: Context) -> None:
    """Run as a Flower app: the whole configuration comes with `flwr run`, progress goes to Flower's log."""
    config = FederatedConfig.from_run_config(context.run_config)
    output = str(context.run_config.get("output", ""))
    if not output:
        raise EvaluationError("the run configuration names no output folder: set its key `output`")
    federate(grid, prepare(config, Path(output), lambda line: log(INFO, line)))


app = ServerApp()
app.main()(main)
