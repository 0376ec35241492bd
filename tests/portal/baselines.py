"""Baseline runs as tests start them: small, valid, on the base model of the factories."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy

from evaluation.federated import presets
from evaluation.federated.config import FederatedConfig
from evaluation.wire.training import Ready, Round, Shares
from portal.accounts.models import User
from portal.baselines import queue, services
from portal.runs.models import BaselineRun
from portal.submissions.models import Submission
from tests.portal import factories
from tests.workers import scripted_training

RECORD: dict[str, Any] = {
    "dataset": {"name": "finance.jsonl", "rows": 100, "demonstration": True},
    "communication_up_bytes": 3000,
    "communication_down_bytes": 3000,
    "client_peak_rss_bytes": 500_000_000,
    "server_peak_rss_bytes": 200_000_000,
    "client_peak_vram_bytes": None,
    "gpu_seconds": None,
    "wall_seconds": 7.5,
    "rounds": [],
}
"""The part of a `training.json` that becomes an entry's description and costs."""


def config(**changes: Any) -> FederatedConfig:
    """A run for a CPU on the factories' base model and the demonstration rows of finance."""
    values = {"target_modules": ("q_proj",), "rank": 4, "alpha": 8, **changes}
    settings = preset() | values
    return services.settled(
        presets.config(settings, model=Path(), base_model_id="", train_data=Path()), factories.base_model()
    )


def request(requester: User, **changes: Any) -> services.Request:
    known = {name: changes.pop(name) for name in ("method", "original", "assumed") if name in changes}
    plan = services.PlannedRun(factories.base_model(), config(**changes))
    return services.Request(plan, requester, **known)


def run(requester: User, **changes: Any) -> BaselineRun:
    """A queued run."""
    return services.start(request(requester, **changes))


def metric(number: int, **changes: Any) -> Round:
    """A round as the training process reports it."""
    return replace(scripted_training.measured(number), **changes)


def ready(*rows: int) -> Ready:
    """What the training process says of itself, whose clients have so many rows each."""
    shares = Shares(None, ("",), tuple((number,) for number in rows), held_out=0)
    return replace(scripted_training.ready(len(rows)), rows=sum(rows), shares=shares)


def with_rounds(run: BaselineRun, rounds: int, **changes: Any) -> BaselineRun:
    """The run, claimed and with so many rounds recorded."""
    claimed = queue.claim(worker="test")
    assert claimed and claimed.pk == run.pk
    queue.record_setup(claimed, ready(40, 30, 20, 10))
    for number in range(1, rounds + 1):
        queue.record_round(claimed, metric(number, **changes))
    claimed.refresh_from_db()
    return claimed


def answers(correct: int, n: int = 100) -> dict[str, Any]:
    """Bits of `n` scored answers of which the first `correct` are right, for the factories' scores."""
    right = numpy.packbits([number < correct for number in range(n)]).tobytes()
    return {"correct_bits": right, "scored_bits": numpy.packbits([True] * n).tobytes()}


def preset() -> dict[str, Any]:
    return {**presets.get("cpu-one").settings}


STATED = {
    "strategy": 'strategy.name = "fedavg"',
    "steps": "train.training-arguments.max-steps = 10",
    "batch": "train.training-arguments.per-device-train-batch-size = 16",
    "length": "train.seq-length = 512",
    "rates": "train.learning-rate-max = 5e-5\ntrain.learning-rate-min = 1e-6",
    "dropout": "model.lora.peft-lora-dropout = 0.075",
    "quantization": "model.quantization = 4",
    "template": 'train.template = "alpaca"',
}
"""The lines of a configuration that states all that matters of a method."""


def stated(**replaced: str) -> factories.Files:
    """An adapter with such a configuration; `replaced` are whole lines, "" leaves one out."""
    static = {"static": replaced.pop("static")} if "static" in replaced else {}
    lines = ["num-server-rounds = 8", *(STATED | replaced).values()]
    return factories.files(factories.pyproject(rounds="\n".join(lines), **static))


def original_with(owner: User, correct: int, **replaced: str) -> Submission:
    made = factories.evaluated(owner, correct=correct, scores=answers(correct), files=stated(**replaced))
    return factories.publish(made)


def retrained_with(
    staff: User,
    original: Submission,
    correct: int,
    n: int = 100,
    settings: dict[str, Any] | None = None,
    **replaced: str,
) -> BaselineRun:
    """A run that retrained `original`, whose entry has so many right answers on each benchmark.

    `settings` are the run's that no card holds.
    """
    made = run(staff, original=original, **({"held_out": 0, "evaluate_every": 0} | (settings or {})))
    claimed = queue.claim(worker="test")
    assert claimed
    entry = factories.submission(
        staff, kind=Submission.Kind.REFERENCE, method="retrained", files=stated(**replaced)
    )
    queue.succeed(claimed, entry)
    factories.evaluate(entry, correct=correct, scores=answers(correct, n) | {"n": n, "value": correct / n})
    made.refresh_from_db()
    return made
