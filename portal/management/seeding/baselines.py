"""Invented training runs behind invented reference entries, round by round, and what retraining showed."""

from __future__ import annotations

import math
import uuid
from collections.abc import Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

from evaluation.federated import presets
from evaluation.federated.config import FederatedConfig
from portal.baselines.services import default_method
from portal.management.seeding.entries import Board, Invented
from portal.management.seeding.methods import MODELS, TARGETS, Method
from portal.runs import reproductions
from portal.runs.models import BaselineRun, Reproduction, RoundMetric
from portal.submissions.models import Submission

STRATEGIES = ("fedavg", "fedprox", "flexlora")
ROUNDS = 15
# Two of the smaller models, so that the grid of baselines has columns to compare.
_MODELS = (0, 3)
_ROUND_SECONDS = 40.0
_GIGABYTE = 1024**3


def draw(board: Board, numbers: Sequence[int]) -> list[Invented]:
    """Reference entries of these numbers: one strategy after the other, on one model, then on the next."""
    drawn = []
    for place, number in enumerate(numbers):
        method = Method(
            model=_MODELS[place // len(STRATEGIES) % len(_MODELS)],
            strategy=STRATEGIES[place % len(STRATEGIES)],
            rank=32,
            dora=False,
            rounds=ROUNDS,
            per_round=board.challenge.baseline_clients_per_round,
        )
        drawn.append(Invented(number, method, _title(board, method), Submission.Kind.REFERENCE))
    return drawn


def again(board: Board, number: int, original: Invented) -> Invented:
    """The reference entry that retraining `original` would give."""
    name = _title(board, original.method)
    return Invented(number, original.method, name, Submission.Kind.REFERENCE, like=original.number)


def record_run(
    board: Board, entry: Invented, submission: Submission, original: Submission | None = None
) -> BaselineRun:
    """The finished run that `submission` came of, with all its rounds; `original` is what it retrained."""
    config = _config(board, entry.method)
    began = board.calendar.of(entry.number) - timedelta(seconds=_ROUND_SECONDS * config.rounds)
    run = BaselineRun.objects.create(
        challenge=board.challenge.slug,
        base_model=board.models[entry.method.model],
        strategy=config.strategy,
        precision=config.precision,
        method=entry.name,
        config=config.as_dict(),
        rounds=config.rounds,
        rounds_done=config.rounds,
        setup={"clients": config.clients, "rows": 100 * config.clients, "partition": [100] * config.clients},
        requested_by=board.user,
        original=original,
        status=BaselineRun.Status.RUNNING,
        claim_id=uuid.uuid4(),
        lease_expires_at=began,
        queued_at=began,
        started_at=began,
    )
    RoundMetric.objects.bulk_create(_rounds(board, run, entry.method))
    BaselineRun.objects.filter(pk=run.pk).update(
        status=BaselineRun.Status.SUCCEEDED,
        claim_id=None,
        lease_expires_at=None,
        finished_at=submission.published_at,
        submission=submission,
    )
    return run


def confirm(board: Board, retrained: Submission) -> None:
    """Compare a retrained entry with its original, and confirm what that showed."""
    for found in reproductions.compare_evaluated(retrained):
        reproductions.judge(found, judge=board.user, verdict=Reproduction.Verdict.CONFIRMED)


def _title(board: Board, method: Method) -> str:
    return default_method(_config(board, method))


def _config(board: Board, method: Method) -> FederatedConfig:
    name = MODELS[method.model][0]
    settings = presets.get(board.challenge.slug).of(board.challenge) | {
        "strategy": method.strategy,
        "clients_per_round": method.per_round,
        "rounds": method.rounds,
        "adapter": "dora" if method.dora else "lora",
        "rank": method.rank,
        "alpha": 2 * method.rank,
        "target_modules": TARGETS,
        "evaluate_every": 1,
        "held_out": 32,
    }
    rows = Path(f"{board.challenge.slug.replace('-', '_')}.jsonl")
    return presets.config(settings, model=Path(name), base_model_id=name, train_data=rows)


def _rounds(board: Board, run: BaselineRun, method: Method) -> Iterator[RoundMetric]:
    """Losses fall towards a floor with some noise; bytes follow from the adapter, the rest from its model."""
    config = FederatedConfig.from_dict(run.config)
    sent = round(4 * method.trained) * method.per_round
    memory = round((0.5 + method.billions) * _GIGABYTE)
    for number in range(1, config.rounds + 1):
        noise, held_out_noise = board.random.normal(0, 0.04, 2)
        loss = 1.1 + 2.2 * math.exp(-4 * number / config.rounds)
        yield RoundMetric(
            run=run,
            round=number,
            clients=_clients(board, config),
            examples=method.per_round * config.local_steps * config.batch_size,
            learning_rate=config.learning_rate_in(number),
            train_loss=loss + noise,
            held_out_loss=loss + 0.15 + held_out_noise,
            bytes_down=sent,
            bytes_up=sent,
            train_seconds=0.8 * _ROUND_SECONDS * method.per_round,
            aggregate_seconds=0.3,
            communicate_seconds=1.5,
            seconds=_ROUND_SECONDS,
            client_peak_rss_bytes=memory,
            client_peak_vram_bytes=memory,
            server_peak_rss_bytes=_GIGABYTE,
            energy_joules=150 * _ROUND_SECONDS,
            energy_net_joules=100 * _ROUND_SECONDS,
            energy_method="NVML of an invented GPU",
            gpu_seconds=0.8 * _ROUND_SECONDS,
        )


def _clients(board: Board, config: FederatedConfig) -> Any:
    return sorted(board.random.choice(config.clients, config.clients_per_round, replace=False).tolist())
