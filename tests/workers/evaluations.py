"""A submission whose evaluation a worker is to do, and what can be seen of it."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from typing import Any

import psutil

from portal.accounts.models import User
from portal.intake.services import Draft, Files, submit
from portal.runs.models import Evaluation
from portal.submissions.models import BaseModel, Submission
from tests.portal import factories
from tests.workers.conftest import Worker, adapter_config
from workers import claiming, evaluate


def submission(owner: User, model: BaseModel, adapter: Path, **changes: Any) -> Submission:
    weights = (adapter / "adapter_model.safetensors").read_bytes()
    draft = factories.draft(
        owner,
        base_model=model,
        files=Files(BytesIO(weights), len(weights), adapter_config(adapter), factories.PYPROJECT),
        **changes,
    )
    assert isinstance(draft, Draft)
    return submit(draft)


def run(evaluation: Evaluation) -> None:
    """Have this process's worker run what it claimed."""
    share = claiming.here().slots.take()
    assert share
    with share:
        evaluate.run(evaluation, share)


def evaluation_of(made: Submission) -> Evaluation:
    return Evaluation.objects.get(submission=made)


def has_progress(made: Submission) -> bool:
    evaluation = evaluation_of(made)
    return evaluation.status == "running" and evaluation.progress.get("benchmark") is not None


def child_of(worker: Worker) -> psutil.Process:
    children = psutil.Process(worker.pid).children(recursive=True)
    return next(child for child in children if "evaluation.server" in child.cmdline())
