"""Command line of the reference baselines: `python -m evaluation.federated --challenge finance …`."""

from __future__ import annotations

import argparse
import json
import os
import select
import signal
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from threading import Event
from types import FrameType
from typing import Any, TextIO

from evaluation.errors import EvaluationError, outage_of
from evaluation.federated import comparison, data, deployment, options, partitioning, robustness, simulation
from evaluation.federated.checks import check_settings, findings
from evaluation.federated.config import FederatedConfig
from evaluation.federated.events import Report, as_text
from evaluation.federated.job import PreparedRun, prepare
from evaluation.findings import Severity
from evaluation.log_lines import warnings_to_stderr
from evaluation.parent import end_with_parent
from evaluation.wire.messages import Failed, dump
from evaluation.wire.training import Event as Told

_LOOK_SECONDS = 0.5


def main(arguments: list[str] | None = None) -> int:
    """Run what the options ask for. Returns 0, 2 with an error to show, 130 interrupted, 143 terminated."""
    received: list[int] = []

    def interrupt(number: int, _frame: FrameType | None) -> None:
        if not received:  # a second signal must not break off the clean-up that the first began
            received.append(number)
            raise KeyboardInterrupt

    asked = options.parser().parse_args(arguments)
    if asked.events:  # nobody would hear of a run that goes on without its supervisor
        end_with_parent()
        warnings_to_stderr()
    events = _event_stream() if asked.events else None
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, interrupt)
    try:
        _run(asked, events)
    except (EvaluationError, OSError, MemoryError) as error:
        known = error if isinstance(error, EvaluationError) else outage_of(error)
        if known is None:
            raise
        failed = Failed.of(known)
        print(as_text(failed), file=sys.stderr)
        if events:
            print(dump(failed), file=events, flush=True)
        return 2
    except KeyboardInterrupt:
        kept = f"; go on with --state {asked.state} --resume" if asked.state else ": the run was not kept"
        print(f"stopped{kept}", file=sys.stderr)
        return 128 + received[0]
    return 0


def _run(asked: argparse.Namespace, events: TextIO | None) -> None:
    configs = options.runs(asked)
    if asked.robustness:
        _compare_disturbed(configs, asked, events)
        return
    if asked.show_partition:
        _show(configs[0])
        return
    if not events:  # a supervisor knows them
        _tell_notes(configs)
    if "superlink" in asked:
        _send(configs, asked, events)
        return

    report = _report_to(events)
    if len(configs) == 1:
        first = prepare(configs[0], _output(asked), report, state=asked.state, resume=asked.resume)
        simulation.run(_with_further(first) if asked.further else [first])
        return
    folders = _run_all({config.strategy: config for config in configs}, asked, report)
    print("\n".join(comparison.table([comparison.read(folder) for folder in folders.values()])), flush=True)


def _report_to(events: TextIO | None) -> Report:
    """What is told of runs: JSON lines to `events`, else text to standard output."""

    def report(event: Told) -> None:
        print(dump(event) if events else as_text(event), file=events, flush=True)

    return report


def _run_all(
    configs: Mapping[str, FederatedConfig],
    asked: argparse.Namespace,
    report: Report,
    failed: simulation.Failure | None = None,
) -> dict[str, Path]:
    """Run those of these runs that are not finished, each in a folder of its name; returns the folders."""
    output, state = _output(asked), asked.state
    folders = {name: output / name for name in configs}
    jobs = [
        prepare(config, folders[name], report, state=state / name if state else None, resume=asked.resume)
        for name, config in configs.items()
        if not (asked.resume and comparison.is_finished(folders[name]))
    ]
    if jobs:
        simulation.run(jobs, failed)
    return folders


def _compare_disturbed(
    configs: list[FederatedConfig], asked: argparse.Namespace, events: TextIO | None
) -> None:
    """Run each of these undisturbed and disturbed, and print what that costs it: for some, the whole run."""
    if "superlink" in asked:
        raise EvaluationError("--robustness runs on this machine: it goes without --superlink")

    runs = {
        f"{config.strategy}/{name}": own
        for config in configs
        for name, own in robustness.disturbed(config).items()
    }
    reasons: dict[Path, str] = {}

    def failed(job: PreparedRun, error: EvaluationError) -> None:
        reasons[job.output] = str(error)
        print(f"{job.output.parent.name}/{job.output.name} failed: {error}", file=sys.stderr, flush=True)

    folders = _run_all(runs, asked, _report_to(events), failed)
    records: dict[str, dict[str, Any | None]] = {}
    for label, folder in folders.items():
        strategy, _, name = label.partition("/")
        records.setdefault(strategy, {})[name] = None if folder in reasons else comparison.read(folder)
    print("\n".join(robustness.table(records)), flush=True)


def _with_further(first: PreparedRun) -> Iterator[PreparedRun]:
    """A run, and behind it those that standard input asks for, until it ends or the last one is stopped."""
    yield first
    last = first
    while line := _next_line(last.stop):
        asked = options.parser().parse_args(json.loads(line))
        (config,) = options.runs(asked)
        last = prepare(config, _output(asked), first.report, state=asked.state, resume=asked.resume)
        yield last


def _next_line(stop: Event) -> str:
    """The next line of standard input, "" where none comes any more."""
    while not stop.is_set():
        readable, _, _ = select.select([sys.stdin], [], [], _LOOK_SECONDS)
        if readable:  # whole lines are sent, one after each run, so that none waits in Python's buffer
            return sys.stdin.readline().strip()
    return ""


def _tell_notes(configs: list[FederatedConfig]) -> None:
    """What is to be known of the runs before they start, though they can."""
    found = (finding for config in configs for finding in findings(config))
    for message in dict.fromkeys(f.message for f in found if f.severity is not Severity.ERROR):
        print(f"note: {message}", file=sys.stderr)


def _send(configs: list[FederatedConfig], asked: argparse.Namespace, events: TextIO | None) -> None:
    """Run on a SuperLink and pass on what it says, events apart from the rest."""
    if len(configs) > 1:
        raise EvaluationError("a SuperLink is sent one run: choose one with --strategy")

    def said(line: str) -> None:
        apart = events and line.startswith("{")
        print(line, file=events if apart else None, flush=True)

    link = deployment.SuperLink(asked.superlink, asked.root_certificates)
    output = _output(asked).resolve()
    deployment.run(configs[0], link, output=output, state=asked.state, events=bool(events), said=said)


def _output(asked: argparse.Namespace) -> Path:
    if "output" in asked:
        return Path(asked.output)
    if "preset" not in asked:
        raise EvaluationError("--output names no folder for the result")
    return Path("var/baselines") / f"{asked.preset}-{time.strftime('%Y%m%d-%H%M%S')}"


def _show(config: FederatedConfig) -> None:
    """Print how the rows are shared, by the column that decides if one does."""
    rows = data.read(config.train_data)
    check_settings(config, len(rows.rows))
    division = partitioning.split(config, rows)
    print("\n".join(partitioning.bars(partitioning.shares(division, rows, config.partition.column))))


def _event_stream() -> TextIO:
    """The original standard output, for events alone: what libraries print goes to standard error now."""
    stream = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    return stream


if __name__ == "__main__":
    sys.exit(main())
