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
from evaluation.federated.exchange import CONFIG, HARDWARE, METRICS, PARTITION, Exchange

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
    nodes, clients_hardware = _introductions(exchange.receive(queries))
    startup = time.perf_counter() - started
    job.report(
        f"ready after {startup:.1f} s: {len(nodes)} clients, {len(job.rows.rows)} rows of {job.rows.name}, "
        f"{adapter.parameters():,} trainable parameters, on {clients_hardware}"
    )
    federation = rounds.Federation(config, job.strategy, exchange, nodes)
    arrays, measured = rounds.run(
        federation, adapter.arrays(), lambda measure: job.report(results.line(measure, config.rounds))
    )
    seconds = time.perf_counter() - started
    run = results.Run(config, job.rows, tuple(measured), clients_hardware, startup, seconds)
    results.write(run, adapter, arrays, job.output)
    job.report(f"wrote {job.output} after {seconds:.1f} s")


def _queries(config: FederatedConfig, nodes: list[int]) -> list[Message]:
    """One message a node that asks what part of the data it holds."""
    settings = ConfigRecord(config.run_config())
    return [
        Message(RecordDict({CONFIG: settings}), dst_node_id=node, message_type=MessageType.QUERY)
        for node in nodes
    ]


def _introductions(replies: list[Message]) -> tuple[dict[int, int], str]:
    """The node id of each partition, and the clients' hardware. Raises EvaluationError if a client fails."""
    for reply in replies:
        if reply.has_error():
            raise EvaluationError(f"a client cannot take part: {reply.error.reason}")
    nodes = {int(reply.content[METRICS][PARTITION]): reply.metadata.src_node_id for reply in replies}
    kinds = sorted({str(reply.content[CONFIG][HARDWARE]) for reply in replies})
    return dict(sorted(nodes.items())), " and ".join(kinds)


def main(grid: Grid, context: Context) -> None:
    """Run as a Flower app: the whole configuration comes with `flwr run`, progress goes to Flower's log."""
    config = FederatedConfig.from_run_config(context.run_config)
    output = str(context.run_config.get("output", ""))
    if not output:
        raise EvaluationError("the run configuration names no output folder: set its key `output`")
    federate(grid, prepare(config, Path(output), lambda line: log(INFO, line)))


app = ServerApp()
app.main()(main)
