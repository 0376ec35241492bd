"""A run that can start: checked settings, its rows, and where its result and state go."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from threading import Event

from evaluation.checkpoints import BaseModelTensors, base_model_tensors
from evaluation.federated import data
from evaluation.federated.checks import check_files, check_output, check_settings
from evaluation.federated.config import FederatedConfig
from evaluation.federated.events import Report
from evaluation.federated.state import RunState


@dataclass(frozen=True)
class PreparedRun:
    """A run that was checked. `report` is told how it goes on, `stop` ends it from outside.

    Without a `state` an interrupted run leaves nothing.
    """

    config: FederatedConfig
    rows: data.TrainingData
    base: BaseModelTensors
    output: Path
    report: Report
    state: RunState | None = None
    stop: Event = field(default_factory=Event)


def prepare(
    config: FederatedConfig, output: Path, report: Report, *, state: Path | None = None, resume: bool = False
) -> PreparedRun:
    """Refuse a run that cannot work, before anything is started.

    `state` is the folder to keep progress in; with `resume` the run goes on from what it holds, if anything.
    Raises EvaluationError that says all that is wrong.
    """
    check_settings(config)
    check_files(config)
    check_output(output)
    rows, base = data.read(config.train_data), base_model_tensors(config.model)
    check_settings(config, len(rows.rows), base)
    kept = RunState(state, config, rows.identity(config.partition.column)) if state else None
    if kept:
        kept.open(resume=resume)
    return PreparedRun(config, rows, base, output, report, kept)
