"""Command line of the reference baseline: `python -m evaluation.federated --challenge finance …`."""

from __future__ import annotations

import argparse
import signal
import sys
from pathlib import Path
from types import FrameType

from evaluation import challenges
from evaluation.errors import EvaluationError
from evaluation.federated import config as configuration
from evaluation.federated import data, simulation

# The public FlowerTune baseline: learning rate from the first to the second over the rounds.
_BASELINE_RATES = (5e-5, 1e-6)


def main(arguments: list[str] | None = None) -> int:
    """Run one baseline. Returns 0, 2 with an error to show, 130 when interrupted, 143 when terminated."""
    received: list[int] = []

    def interrupt(number: int, _frame: FrameType | None) -> None:
        if not received:  # a second signal must not break off the clean-up that the first began
            received.append(number)
            raise KeyboardInterrupt

    options = _parser().parse_args(arguments)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, interrupt)
    try:
        config = _config(options)
        simulation.run(config, options.output, lambda line: print(line, flush=True))
    except EvaluationError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("stopped: nothing was written", file=sys.stderr)
        return 128 + received[0]
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m evaluation.federated",
        description="Train a reference federated baseline on one machine. Defaults: the public baseline.",
        allow_abbrev=False,
    )
    parser.add_argument("--challenge", required=True, help=f"one of {', '.join(challenges.CHALLENGES)}")
    parser.add_argument("--strategy", default="fedavg", help="how adapters are aggregated (default: fedavg)")
    parser.add_argument("--model", required=True, type=Path, help="folder of the base model")
    parser.add_argument("--base-model-id", help="hub id for the adapter to record (default: folder's name)")
    parser.add_argument("--output", required=True, type=Path, help="folder to make for the result")
    parser.add_argument(
        "--train-data",
        type=Path,
        help="JSONL file, or folder of them (default: demonstration rows)",
    )
    federation = parser.add_argument_group("federation")
    federation.add_argument("--clients", type=int, help="number of clients (default: the challenge's)")
    sampling = federation.add_mutually_exclusive_group()
    sampling.add_argument("--clients-per-round", type=int, help="(default: the public baseline's)")
    sampling.add_argument("--fraction", type=float, help="share of the clients sampled each round")
    federation.add_argument("--rounds", type=int, default=200)
    training = parser.add_argument_group("local training")
    training.add_argument("--local-steps", type=int, default=10)
    training.add_argument("--batch-size", type=int, default=16)
    training.add_argument("--sequence-length", type=int, default=512, help="tokens a row at most")
    training.add_argument("--learning-rate", type=float, help="in the first round; alone, in all rounds")
    training.add_argument("--learning-rate-min", type=float, help="in the last round, reached on a cosine")
    training.add_argument("--rank", type=int, default=32, help="of the LoRA matrices")
    training.add_argument("--alpha", type=int, default=64)
    training.add_argument("--target-modules", default="q_proj,v_proj", help="comma-separated")
    training.add_argument("--precision", default="nf4", help="of the frozen base model: nf4, bf16 or fp32")
    parser.add_argument("--seed", type=int, default=42)
    return parser


def _config(options: argparse.Namespace) -> configuration.FederatedConfig:
    """The run that the options ask for. Raises EvaluationError for an unknown challenge or missing data."""
    challenge = challenges.get(options.challenge)
    clients = challenge.clients if options.clients is None else options.clients
    rate, lowest = options.learning_rate, options.learning_rate_min
    if rate is None:
        rate = _BASELINE_RATES[0]
        lowest = _BASELINE_RATES[1] if lowest is None else lowest
    return configuration.FederatedConfig(
        challenge=challenge.slug,
        strategy=options.strategy,
        model=options.model.resolve(),
        base_model_id=options.base_model_id or options.model.resolve().name,
        train_data=data.locate(options.train_data, challenge.slug).resolve(),
        clients=clients,
        clients_per_round=_clients_per_round(options, clients, challenge.baseline_clients_per_round),
        rounds=options.rounds,
        local_steps=options.local_steps,
        batch_size=options.batch_size,
        sequence_length=options.sequence_length,
        learning_rate=rate,
        learning_rate_min=rate if lowest is None else lowest,
        rank=options.rank,
        alpha=options.alpha,
        target_modules=configuration.modules(options.target_modules),
        precision=options.precision,
        seed=options.seed,
    )


def _clients_per_round(options: argparse.Namespace, clients: int, baseline: int) -> int:
    if options.fraction is not None:
        if not 0 < options.fraction <= 1:
            raise EvaluationError(f"fraction must be above 0 and at most 1, not {options.fraction}")
        return configuration.sampled(clients, options.fraction)
    if options.clients_per_round is not None:
        return int(options.clients_per_round)
    return min(baseline, clients)


if __name__ == "__main__":
    sys.exit(main())
