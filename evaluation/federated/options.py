"""The command line's words and the runs that they ask for."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from evaluation import adapter_kinds
from evaluation.demonstration import installed_model
from evaluation.errors import EvaluationError
from evaluation.federated import config as configuration
from evaluation.federated import data, presets
from evaluation.federated.config import FederatedConfig, Partition, Privacy
from evaluation.federated.devices import Devices
from evaluation.hub import base_models
from evaluation.hub.base_models import NamedModel
from evaluation.method.row_form import TEMPLATES
from evaluation.method.strategies import STRATEGIES
from evaluation.rules import challenges

# Settings that have an option of their own name.
_PLAIN = {
    "strategy": str,
    "clients": int,
    "clients_per_round": int,
    "minimum_clients": int,
    "rounds": int,
    "local_steps": int,
    "batch_size": int,
    "sequence_length": int,
    "learning_rate": float,
    "learning_rate_min": float,
    "schedule": str,
    "adapter": str,
    "rank": int,
    "alpha": int,
    "dropout": float,
    "precision": str,
    "evaluate_every": int,
    "held_out": int,
    "own_held_out": int,
    "keep_every": int,
    "compression": str,
    "top_k": float,
    "seed": int,
    "threads": int,
    "template": str,
    "learn_end_token": bool,
    "draw_anew": bool,
    "canaries": int,
    "group_by_length": bool,
}


def parser() -> argparse.ArgumentParser:
    """All options. Those of settings have no default: a run starts from a preset, a file or a template."""
    whole = argparse.ArgumentParser(
        prog="python -m evaluation.federated",
        description="Train a reference federated baseline. Settings that are not given are those of --preset "
        "or --config, else of the challenge's official template.",
        argument_default=argparse.SUPPRESS,
        allow_abbrev=False,
    )
    whole.add_argument("--challenge", help=f"one of {', '.join(challenges.CHALLENGES)}")
    start = whole.add_mutually_exclusive_group()
    start.add_argument("--preset", help=f"one of {', '.join(presets.PRESETS)}")
    start.add_argument("--config", type=Path, help="training.json of a run, or its settings alone")
    whole.add_argument(
        "--model",
        metavar=base_models.METAVAR,
        help=f"the base model: {base_models.HELP}, which small presets take by default",
    )
    whole.add_argument(
        "--base-model-id",
        help="hub id for the adapter to record (default: the model's, else its folder's name)",
    )
    whole.add_argument(
        "--train-data",
        type=Path,
        help="a file of rows, a folder of them, or `hub` for the challenge's training set (default: the "
        "demonstration's rows)",
    )
    whole.add_argument("--output", type=Path, help="folder to make for the result")
    whole.add_argument("--state", type=Path, default=None, help="folder to keep each finished round in")
    whole.add_argument("--resume", action="store_true", default=False, help="go on with what --state holds")
    whole.add_argument("--events", action="store_true", default=False, help="JSON lines on standard output")
    whole.add_argument(
        "--further",
        action="store_true",
        default=False,
        help="after this run those whose options come on standard input, a JSON list a line; an empty line "
        "ends it. They have the base model and the number of clients of this one",
    )
    whole.add_argument(
        "--show-partition", action="store_true", default=False, help="show how rows are shared, and end"
    )
    _add_settings(whole)
    machines = whole.add_argument_group("several machines")
    machines.add_argument("--superlink", metavar="HOST:PORT", help="Control API of a SuperLink to send it to")
    machines.add_argument(
        "--root-certificates", type=Path, default=None, help="PEM file: use TLS, trust these"
    )
    return whole


def _add_settings(whole: argparse.ArgumentParser) -> None:
    federation = whole.add_argument_group("federation")
    federation.add_argument("--strategy", help=f"one of {', '.join(STRATEGIES)}")
    federation.add_argument(
        "--strategy-option",
        action="append",
        metavar="NAME=NUMBER",
        help="such as proximal-mu=0.1; repeatable",
    )
    federation.add_argument("--clients", type=int, help="number of clients")
    sampling = federation.add_mutually_exclusive_group()
    sampling.add_argument("--clients-per-round", type=int)
    sampling.add_argument("--fraction", type=float, help="share of the clients sampled each round")
    federation.add_argument("--minimum-clients", type=int, help="usable replies below which a round fails")
    federation.add_argument("--rounds", type=int)
    federation.add_argument("--evaluate-every", type=int, help="rounds between losses on the held-out rows")
    federation.add_argument("--held-out", type=int, help="rows that nobody trains on")
    federation.add_argument(
        "--own-held-out", type=int, help="rows of each client kept from its training, for its own loss"
    )
    federation.add_argument("--keep-every", type=int, help="rounds between adapters that are kept")
    federation.add_argument(
        "--compression", help=f"of what clients send: {', '.join(configuration.COMPRESSIONS)}"
    )
    federation.add_argument("--top-k", type=float, help="share of its numbers that top-k sends")
    partition = whole.add_argument_group("partition")
    partition.add_argument("--partition", help=f"one of {', '.join(configuration.PARTITIONS)}")
    partition.add_argument("--partition-alpha", type=float, help="concentration: small is uneven")
    partition.add_argument(
        "--partition-column", help="column that decides; `domain` takes all challenges' rows of a folder"
    )
    partition.add_argument("--partition-labels", type=int, help="values of the column that a client holds")
    devices = whole.add_argument_group(
        "clients that differ", "Lists with commas are dealt to the clients in turn; time is simulated."
    )
    devices.add_argument("--client-ranks", help="of their adapters, such as 4,8,16")
    devices.add_argument("--client-steps", help="local steps")
    devices.add_argument("--client-speeds", help="1, or 0.5 for one that needs twice the time")
    devices.add_argument("--deadline", type=float, help="of a round, in steps' time of a client of speed 1")
    devices.add_argument("--drop-out", type=float, help="probability that a client does not answer")
    devices.add_argument("--poisoned", type=int, help="clients that send their change reversed and enlarged")
    devices.add_argument(
        "--robustness",
        action="store_true",
        default=False,
        help="run each strategy undisturbed, with drop-out and with poisoned clients, and compare",
    )
    training = whole.add_argument_group("local training")
    training.add_argument("--local-steps", type=int)
    training.add_argument("--batch-size", type=int)
    training.add_argument("--sequence-length", type=int, help="tokens a row at most")
    training.add_argument("--learning-rate", type=float, help="in the first round; alone, in all rounds")
    training.add_argument("--learning-rate-min", type=float, help="in the last round, reached on a cosine")
    training.add_argument("--schedule", help=f"one of {', '.join(configuration.SCHEDULES)}")
    training.add_argument("--adapter", help=f"one of {', '.join(adapter_kinds.trained())}")
    training.add_argument("--rank", type=int, help="of the LoRA matrices")
    training.add_argument("--alpha", type=int)
    training.add_argument("--dropout", type=float)
    training.add_argument("--target-modules", help="comma-separated; all-linear, or default for PEFT's own")
    training.add_argument(
        "--precision", help=f"of the frozen base model: {', '.join(configuration.PRECISION_BITS)}"
    )
    rows = whole.add_argument_group("form of the rows")
    rows.add_argument("--template", help=f"one of {', '.join(TEMPLATES)}")
    rows.add_argument("--instruction-columns", help="what the instruction is made of: instruction,input")
    rows.add_argument(
        "--learn-end-token", action=argparse.BooleanOptionalAction, help="the end token after each answer"
    )
    rows.add_argument("--canaries", type=int, help="clients that hold a secret to test leakage by")
    rows.add_argument("--draw-anew", action=argparse.BooleanOptionalAction, help="other rows in each round")
    rows.add_argument(
        "--group-by-length", action=argparse.BooleanOptionalAction, help="rows of like length in a batch"
    )
    reproducing = whole.add_argument_group("reproducing it")
    reproducing.add_argument("--seed", type=int)
    reproducing.add_argument(
        "--threads", type=int, help="of a client on the CPU; with others the adapter's last digits differ"
    )
    privacy = whole.add_argument_group("differential privacy")
    privacy.add_argument(
        "--clipping", help=f"of the clients' updates: {', '.join(configuration.CLIPPING)}, none"
    )
    privacy.add_argument("--clipping-norm", type=float)
    privacy.add_argument("--noise-multiplier", type=float)
    privacy.add_argument("--delta", type=float)
    privacy.add_argument("--target-quantile", type=float)
    privacy.add_argument("--quantile-rate", type=float)


def runs(options: argparse.Namespace) -> list[FederatedConfig]:
    """The runs that the options ask for: one, or one a strategy where the preset is a grid.

    Raises EvaluationError or UnknownNameError with one line.
    """
    given = vars(options)
    if "superlink" in given and given.get("train_data") == Path(data.HUB):
        raise EvaluationError(
            "a SuperLink's rows lie on its machines: fetch them there with `python -m evaluation data "
            "--training-set CHALLENGE` and give the file's path"
        )
    if "config" in given:
        return [_changed(_kept(options.config, given), given)]
    if "preset" in given:
        preset = presets.get(options.preset)
    elif "challenge" in given:
        preset = presets.get(challenges.get(options.challenge).slug)
    else:
        raise EvaluationError("say what to train: --challenge, --preset or --config")
    challenge = challenges.get(given.get("challenge", preset.settings["challenge"]))
    small = preset.demonstration
    if "model" not in given and not small:
        raise EvaluationError("--model names no base model")
    model = _model(given)
    rows = given.get("train_data")
    if "superlink" not in given or rows is None:  # else the file lies on the SuperLink's machine
        rows = data.locate(rows, challenge.slug, given.get("partition_column"))
    base_model_id = model.hub_id or model.title
    chosen = (given["strategy"],) if "strategy" in given else preset.grid or (None,)
    settings = [preset.of(challenge, strategy) for strategy in chosen]
    starts = [
        presets.config(one, model=model.folder, base_model_id=base_model_id, train_data=rows.resolve())
        for one in settings
    ]
    return [_changed(start, given) for start in starts]


def _model(given: Mapping[str, Any]) -> NamedModel:
    """The base model that is meant. A SuperLink's lies on its machines: it is a path."""
    name = given.get("model", installed_model.NAME)
    if "superlink" in given and name != installed_model.NAME:
        folder = Path(name).resolve()
        return NamedModel(folder, folder.name)
    model = base_models.named(name)
    return replace(model, folder=model.folder.resolve())


def _kept(path: Path, given: Mapping[str, Any]) -> FederatedConfig:
    """The settings in a file, with the paths that the command line gives."""
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise EvaluationError(f"{path} cannot be read as JSON: {error}") from error
    if isinstance(values, dict) and "config" in values:  # a whole training.json
        values = values["config"]
    if not isinstance(values, dict):
        raise EvaluationError(f"{path} holds no settings of a run")
    for name in ("model", "train_data"):
        if name not in given and name not in values:
            raise EvaluationError(
                f"{path} does not say where it lies on this machine: --{name.replace('_', '-')}"
            )
    places = {"train_data": str(given["train_data"].resolve())} if "train_data" in given else {}
    if "model" in given:
        places["model"] = str(_model(given).folder)
    if "challenge" in given:
        values = values | {"challenge": given["challenge"]}
    config = FederatedConfig.from_dict(values | places)
    if "train_data" not in given or "superlink" in given:
        return config
    column = given.get("partition_column", config.partition.column)
    return replace(config, train_data=data.locate(given["train_data"], config.challenge, column).resolve())


def _changed(config: FederatedConfig, given: Mapping[str, Any]) -> FederatedConfig:
    """A run with the settings that the command line gives."""
    changes: dict[str, Any] = {name: given[name] for name in _PLAIN if name in given}
    if given.get("strategy", config.strategy) != config.strategy:
        changes["strategy_options"] = ()
    if "strategy_option" in given:
        own = dict(changes.get("strategy_options", config.strategy_options))
        changes["strategy_options"] = tuple(sorted((own | _options(given["strategy_option"])).items()))
    for name in ("target_modules", "instruction_columns"):
        if name in given:
            changes[name] = configuration.listed(given[name])
    if "base_model_id" in given:
        changes["base_model_id"] = given["base_model_id"]
    clients = changes.get("clients", config.clients)
    if "fraction" in given:
        if not 0 < given["fraction"] <= 1:
            raise EvaluationError(f"fraction must be above 0 and at most 1, not {given['fraction']}")
        changes["clients_per_round"] = configuration.sampled(clients, given["fraction"])
    elif "clients" in given and "clients_per_round" not in given:
        changes["clients_per_round"] = min(config.clients_per_round, clients)
    constant = changes.get("schedule", config.schedule) == "constant"
    if "learning_rate_min" not in given and ("learning_rate" in given or constant):
        changes["learning_rate_min"] = changes.get("learning_rate", config.learning_rate)
    changes["partition"] = _partition(config.partition, given)
    changes["privacy"] = _privacy(config.privacy, given)
    changes["devices"] = _devices(config.devices, given)
    return replace(config, **changes)


def _options(words: list[str]) -> dict[str, float]:
    options = {}
    for word in words:
        name, _, value = word.partition("=")
        try:
            options[name] = float(value)
        except ValueError:
            raise EvaluationError(f"--strategy-option must be like proximal-mu=0.1, not {word!r}") from None
    return options


def _partition(partition: Partition, given: Mapping[str, Any]) -> Partition:
    if given.get("partition", partition.kind) != partition.kind:
        partition = Partition(given["partition"])
    named = {"alpha": "partition_alpha", "column": "partition_column", "labels": "partition_labels"}
    return replace(partition, **{name: given[option] for name, option in named.items() if option in given})


def _devices(devices: Devices, given: Mapping[str, Any]) -> Devices:
    changes: dict[str, Any] = {
        name: given[name] for name in ("deadline", "drop_out", "poisoned") if name in given
    }
    kinds: dict[str, type[int] | type[float]] = {"ranks": int, "steps": int, "speeds": float}
    for name, kind in kinds.items():
        if (option := f"client_{name}") in given:
            try:
                changes[name] = configuration.numbers(given[option], kind)
            except ValueError:
                place = option.replace("_", "-")
                raise EvaluationError(
                    f"--{place} must be numbers with commas, not {given[option]!r}"
                ) from None
    return replace(devices, **changes)


def _privacy(privacy: Privacy | None, given: Mapping[str, Any]) -> Privacy | None:
    names = [field.name for field in fields(Privacy) if field.name in given]
    if given.get("clipping") == "none":
        return None
    return replace(privacy or Privacy(), **{name: given[name] for name in names}) if names else privacy
