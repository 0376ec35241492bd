"""The Flower ServerApp: meets the clients, runs the rounds and writes the trained adapter."""

from __future__ import annotations

import time
from dataclasses import dataclass
from logging import ERROR, INFO
from pathlib import Path

from flwr.app import ConfigRecord, Context, Message, MessageType, RecordDict
from flwr.common import log
from flwr.serverapp import Grid, ServerApp

from evaluation.errors import EvaluationError
from evaluation.federated import peak_memory
from evaluation.federated.config import FederatedConfig
from evaluation.federated.events import as_text
from evaluation.federated.exchange import (
    ADAPTER,
    CONFIG,
    EXAMPLES,
    HARDWARE,
    METRICS,
    PARTITION,
    ROWS,
    Exchange,
    failed_by,
)
from evaluation.federated.factors import Arrays
from evaluation.federated.job import PreparedRun, prepare
from evaluation.federated.kept_rounds import KeptRounds
from evaluation.federated.planned import planned_bytes
from evaluation.wire.messages import Failed, dump
from evaluation.wire.training import Done, Event, Ready, RoundEnded

# Flower keeps a message no longer than this either.
TIMEOUT_SECONDS = 12 * 3600.0


def federate(grid: Grid, job: PreparedRun) -> None:
    """Train and write the output folder, all of it or nothing; each round's state is kept before it is told.

    Raises EvaluationError for whatever makes the run impossible or fruitless.
    """
    started, config = time.perf_counter(), job.config
    peak_memory.forget()  # of a run before this one
    exchange = Exchange(grid, job.stop, TIMEOUT_SECONDS)
    queries = exchange.send(_queries(config, exchange.nodes(config.clients)))
    # The clients import and load now, and so does this process: hence the order, and imports after `send`.
    from evaluation.federated import partitioning, results, rounds
    from evaluation.federated.adapter import GlobalAdapter
    from evaluation.federated.federation import Federation
    from evaluation.federated.strategies.building import build

    strategy, adapter = build(config), GlobalAdapter(config)
    shares = partitioning.shares(partitioning.split(config, job.rows), job.rows, config.partition.column)
    clients = _introductions(job, exchange.receive(queries))
    progress = job.state.load() if job.state else None
    if progress is None:
        progress = rounds.Progress(dict(sorted((adapter.arrays() | clients.magnitudes).items())))
    ready = Ready(
        strategy=config.strategy,
        startup_seconds=time.perf_counter() - started,
        clients=len(clients.nodes),
        rows=len(job.rows.rows),
        data=job.rows.name,
        data_digest=job.rows.digest,
        trainable_parameters=adapter.parameters(),
        hardware=clients.hardware,
        planned_bytes=planned_bytes(config, job.base),
        shares=shares,
        resumed=progress.round,
    )
    job.report(ready)
    for record in progress.records:  # whoever listens may have missed what was kept last
        job.report(RoundEnded.of(record, config.rounds))

    kept = KeptRounds.of(config, job.output, job.state.folder if job.state else None)

    def keep_and_tell(after: rounds.Progress) -> None:
        kept.keep(after.round, adapter, after.adapter)  # before the state, which says that the round is over
        if job.state:
            job.state.save(after)
        job.report(RoundEnded.of(after.records[-1], config.rounds))

    federation = Federation(config, strategy, exchange, clients.nodes, clients.rows)
    try:
        last = rounds.run(federation, progress, keep_and_tell)
        before = sum(record.seconds for record in progress.records)  # in the processes that were interrupted
        run = results.Run(config, job.rows, last.records, ready, before + time.perf_counter() - started)
        results.write(run, adapter, last.adapter, kept, job.output)
    finally:
        if not job.state:
            kept.delete()
    job.report(Done(str(job.output), run.wall_seconds))


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


def _introductions(job: PreparedRun, replies: list[Message]) -> _Clients:
    """What the clients answered. Raises EvaluationError when one fails, is missing or has other rows."""
    config, rows = job.config, job.rows.identity(job.config.partition.column)
    for reply in replies:
        if reply.has_error():
            raise failed_by(replies)(f"a client cannot take part: {reply.error.reason}")
    by_client = {int(reply.content[METRICS][PARTITION]): reply for reply in replies}
    for client, reply in sorted(by_client.items()):
        if reply.content[CONFIG][ROWS] != rows:
            raise EvaluationError(f"client {client} would train on other rows than {job.rows.name}")
    if len(by_client) < len(replies):
        raise EvaluationError("two SuperNodes have the same partition-id")
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
    """Run as a Flower app: the whole configuration comes with `flwr run`, progress goes to Flower's log.

    With `events` it is logged as JSON, which the command line's --superlink reads. With a `state` folder a
    run that broke is gone on with by sending the app again.
    """
    config = FederatedConfig.from_run_config(context.run_config)
    output, state = (str(context.run_config.get(name, "")) for name in ("output", "state"))
    if not output:
        raise EvaluationError("the run configuration names no output folder: set its key `output`")
    folder = Path(state) if state else None
    written = dump if context.run_config.get("events") else as_text

    def report(event: Event) -> None:
        log(INFO, "%s", written(event))  # formatted by the log, as a line of JSON may hold a per cent sign

    try:
        federate(grid, prepare(config, Path(output), report, state=folder, resume=bool(folder)))
    except EvaluationError as error:
        log(ERROR, "%s", as_text(Failed.of(error)))  # else it is lost in Flower's traceback
        raise


app = ServerApp()
app.main()(main)
