"""What one federated run is: a single frozen value, and its form as a Flower app's run configuration."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar

from evaluation import adapter_kinds as kinds
from evaluation.adapter_kinds import LORA, AdapterKind
from evaluation.errors import EvaluationError
from evaluation.federated.devices import ALIKE, Devices
from evaluation.federated.typed_values import typed
from evaluation.method.row_form import BOTH, RowForm, columns_of
from evaluation.method.strategies import STRATEGIES
from evaluation.rules.protocol import FOUR_BIT

Scalar = str | int | float | bool
N = TypeVar("N", int, float)

PARTITIONS = ("iid", "dirichlet", "size", "natural", "label")
SCHEDULES = ("cosine", "constant")
COMPRESSIONS = ("none", "bf16", "int8", "top-k")
KEPT_FOLDER = "rounds"
"""Of a result: the adapters of rounds on the way, by their numbers."""
TOP_K = 0.01
CLIPPING = ("fixed", "adaptive")
# Bits a weight of the frozen base model takes in memory, as FlowerTune configs write `model.quantization`.
PRECISION_BITS = {"fp4": 4, "nf4": 4, "bf16": 16, "fp32": 32}

# In place of target modules: every linear layer but the head, and those that PEFT takes when none is named.
ALL_LINEAR = "all-linear"
PEFT_DEFAULT = "default"
# As many as the smallest machine that the documentation speaks of has cores.
THREADS = 2


@dataclass(frozen=True)
class Partition:
    """How the rows are shared among the clients.

    `iid`: equal parts of a shuffle, the benchmark's. `dirichlet`: the shares of each value of `column` are
    drawn from a Dirichlet distribution with concentration `alpha` (Hsu et al., arXiv 1909.06335). `size`:
    the clients' sizes are so drawn, rows alike. `natural`: whole groups of rows with one value of `column`
    stay on one client. `label`: each client holds `labels` of the column's values, whose rows it shares with
    the others that hold them (McMahan et al., arXiv 1602.05629).
    """

    kind: str = "iid"
    alpha: float | None = None
    column: str | None = None
    labels: int | None = None


@dataclass(frozen=True)
class Privacy:
    """Central differential privacy by clipped updates and Gaussian noise.

    `fixed` clips each client's update to the norm `clipping_norm` (McMahan et al., arXiv 1710.06963);
    `adaptive` starts from it and follows the `target_quantile` of the norms with the step `quantile_rate`
    (Andrew et al., arXiv 1905.03871). ε is reported at `delta`.
    """

    clipping: str = "fixed"
    clipping_norm: float = 1.0
    noise_multiplier: float = 1.0
    delta: float = 1e-5
    target_quantile: float = 0.5
    quantile_rate: float = 0.2


@dataclass(frozen=True)
class FederatedConfig:
    """One run of federated fine-tuning.

    `model` is a folder with a Hugging Face checkpoint, `base_model_id` the name that the adapter records;
    `train_data` is a JSONL file of rows `instruction, input, output`. `clients` is the number of SuperNodes.
    The learning rate falls over the rounds from `learning_rate` to `learning_rate_min` on a cosine, unless
    `schedule` is constant. `precision` is that of the frozen base weights; adapters are trained and sent in
    fp32. `strategy_options` are sorted by name; options that are left out have the strategy's default.
    A round fails with fewer than `minimum_clients` usable replies. `held_out` rows are kept from training;
    the loss on them is taken every `evaluate_every` rounds and after the last one, never where that is 0.
    Rows are written in the form of `template` with the instruction made of `instruction_columns`, without any
    of those of the challenge's public app. What the public apps do not do: `learn_end_token`, `draw_anew`
    other rows in each round, `group_by_length` the rows of a round's batches.
    `canaries` of the clients hold a canary besides their rows (`evaluation.leakage.canaries`).
    A client computes on the CPU with `threads`, whatever the machine has: sums are divided among them, and so
    the last digits of the adapter depend on their number.
    `devices` is how the clients differ. What a client sends back is compressed as `compression` says, with
    top-k to the share `top_k` of its largest numbers. `own_held_out` rows are kept of each client, for the
    loss on them beside the one on `held_out`. Every `keep_every` rounds the adapter is kept, never where 0.
    """

    challenge: str
    strategy: str
    model: Path
    base_model_id: str
    train_data: Path
    clients: int
    clients_per_round: int
    rounds: int
    local_steps: int
    batch_size: int
    sequence_length: int
    learning_rate: float
    learning_rate_min: float
    rank: int
    alpha: int
    target_modules: tuple[str, ...]
    precision: str
    seed: int
    adapter: str = LORA.key
    dropout: float = 0.0
    strategy_options: tuple[tuple[str, float], ...] = ()
    privacy: Privacy | None = None
    partition: Partition = Partition()
    schedule: str = "cosine"
    minimum_clients: int = 1
    evaluate_every: int = 0
    held_out: int = 0
    threads: int = THREADS
    template: str = "alpaca"
    instruction_columns: tuple[str, ...] = ()
    learn_end_token: bool = False
    draw_anew: bool = False
    group_by_length: bool = False
    devices: Devices = ALIKE
    compression: str = "none"
    top_k: float = TOP_K
    own_held_out: int = 0
    keep_every: int = 0
    canaries: int = 0

    @property
    def form(self) -> RowForm:
        """How a row is written, and what of it is learnt."""
        columns = self.instruction_columns or columns_of(self.challenge)
        return RowForm(self.template, BOTH if self.template == "fingpt" else columns, self.learn_end_token)

    @property
    def effective_options(self) -> dict[str, float]:
        """All options of the strategy, those that the run leaves out with their defaults."""
        info = STRATEGIES.get(self.strategy)
        defaults = {option.name: option.default for option in info.options} if info else {}
        return defaults | dict(self.strategy_options)

    @property
    def fewest_replies(self) -> int:
        """How many usable replies a round needs: the run's minimum, or what its strategy needs to work."""
        info = STRATEGIES.get(self.strategy)
        return max(1, self.minimum_clients, info.fewest_clients(self.effective_options) if info else 1)

    def settled(self) -> FederatedConfig:
        """The same run with what it leaves to defaults written out: for the record."""
        options = tuple(sorted(self.effective_options.items()))
        return replace(self, strategy_options=options, instruction_columns=self.form.columns)

    @property
    def kind(self) -> AdapterKind:
        """The kind of the adapter. Raises UnknownNameError where there is none of that name."""
        return kinds.get(self.adapter)

    def rank_of(self, client: int) -> int:
        """The rank of a client's adapter; `rank` is that of the server's."""
        return self.devices.rank(client, self.rank)

    def steps_of(self, client: int) -> int:
        """How many local steps a client takes in a round."""
        return self.devices.local_steps(client, self.local_steps)

    @property
    def fraction(self) -> float:
        """The share of clients sampled each round, of which `sampled` makes `clients_per_round` again."""
        fraction = self.clients_per_round / self.clients
        lost = sampled(self.clients, fraction) < self.clients_per_round  # as 29 of 50, by rounding
        return math.nextafter(fraction, 1) if lost else fraction

    @property
    def gradient_checkpointing(self) -> bool:
        """Recompute activations in the backward pass: goes with 4-bit weights, where memory is short."""
        return self.precision in FOUR_BIT

    def learning_rate_in(self, server_round: int) -> float:
        """The clients' learning rate in round 1…rounds, as FlowerTune's cosine annealing has it."""
        if self.schedule == "constant":
            return self.learning_rate
        cosine = math.cos(math.pi * server_round / self.rounds)
        return self.learning_rate_min + (self.learning_rate - self.learning_rate_min) * (1 + cosine) / 2

    def evaluates_in(self, server_round: int) -> bool:
        """Whether the loss on the held-out rows is taken after this round."""
        every = self.evaluate_every
        return every > 0 and (server_round % every == 0 or server_round == self.rounds)

    @property
    def kept_rounds(self) -> range:
        """The rounds whose adapters are kept; the last one's is the result."""
        return range(self.keep_every, self.rounds, self.keep_every) if self.keep_every > 0 else range(0)

    def run_config(self) -> dict[str, Scalar]:
        """This run as flat keys of `[tool.flwr.app.config]`, named as in FlowerTune where it has them."""
        privacy = self.privacy or Privacy()
        return {
            "challenge": self.challenge,
            "model.name": self.base_model_id,
            "model.path": str(self.model),
            "model.quantization": PRECISION_BITS[self.precision],
            "model.quantization-type": self.precision if self.precision in FOUR_BIT else "none",
            "model.gradient-checkpointing": self.gradient_checkpointing,
            "model.lora.peft-lora-r": self.rank,
            "model.lora.peft-lora-alpha": self.alpha,
            "model.lora.peft-lora-dropout": self.dropout,
            "model.lora.peft-use-dora": self.kind.use_dora,
            "model.lora.modules": ",".join(self.target_modules),
            "train.data": str(self.train_data),
            "train.template": self.template,
            "train.instruction-columns": ",".join(self.instruction_columns),
            "train.learn-end-token": self.learn_end_token,
            "train.draw-anew": self.draw_anew,
            "train.group-by-length": self.group_by_length,
            "train.canaries": self.canaries,
            "train.seed": self.seed,
            "train.threads": self.threads,
            "train.learning-rate-max": self.learning_rate,
            "train.learning-rate-min": self.learning_rate_min,
            "train.learning-rate-schedule": self.schedule,
            "train.seq-length": self.sequence_length,
            "train.training-arguments.per-device-train-batch-size": self.batch_size,
            "train.training-arguments.max-steps": self.local_steps,
            "strategy.name": self.strategy,
            "strategy.fraction-train": self.fraction,
            "strategy.min-train-nodes": self.minimum_clients,
            **{f"strategy.{option}": value for option, value in self.strategy_options},
            "privacy.enabled": self.privacy is not None,
            "privacy.clipping-mode": privacy.clipping,
            "privacy.clipping-norm": privacy.clipping_norm,
            "privacy.noise-multiplier": privacy.noise_multiplier,
            "privacy.delta": privacy.delta,
            "privacy.target-quantile": privacy.target_quantile,
            "privacy.quantile-rate": privacy.quantile_rate,
            "partition.kind": self.partition.kind,
            "partition.alpha": self.partition.alpha or 0.0,
            "partition.column": self.partition.column or "",
            "partition.labels": self.partition.labels or 0,
            "evaluate.every-rounds": self.evaluate_every,
            "evaluate.held-out-rows": self.held_out,
            "evaluate.own-held-out-rows": self.own_held_out,
            "evaluate.keep-every-rounds": self.keep_every,
            "devices.ranks": _text(self.devices.ranks),
            "devices.steps": _text(self.devices.steps),
            "devices.speeds": _text(self.devices.speeds),
            "devices.deadline": self.devices.deadline,
            "devices.drop-out": self.devices.drop_out,
            "devices.poisoned": self.devices.poisoned,
            "compression.kind": self.compression,
            "compression.top-k": self.top_k,
            "num-server-rounds": self.rounds,
            "num-supernodes": self.clients,
        }

    @classmethod
    def from_run_config(cls, values: Mapping[str, Scalar]) -> FederatedConfig:
        """The inverse of `run_config`. Raises EvaluationError that names a missing or unusable key."""
        try:
            clients = int(values["num-supernodes"])
            precision = _precision(int(values["model.quantization"]), str(values["model.quantization-type"]))
            config = cls(
                challenge=str(values["challenge"]),
                strategy=str(values["strategy.name"]),
                model=Path(str(values["model.path"])),
                base_model_id=str(values["model.name"]),
                train_data=Path(str(values["train.data"])),
                clients=clients,
                clients_per_round=sampled(clients, float(values["strategy.fraction-train"])),
                rounds=int(values["num-server-rounds"]),
                local_steps=int(values["train.training-arguments.max-steps"]),
                batch_size=int(values["train.training-arguments.per-device-train-batch-size"]),
                sequence_length=int(values["train.seq-length"]),
                learning_rate=float(values["train.learning-rate-max"]),
                learning_rate_min=float(values["train.learning-rate-min"]),
                rank=int(values["model.lora.peft-lora-r"]),
                alpha=int(values["model.lora.peft-lora-alpha"]),
                target_modules=listed(str(values["model.lora.modules"])),
                precision=precision,
                seed=int(values["train.seed"]),
                adapter=_adapter(use_dora=bool(values["model.lora.peft-use-dora"])),
                dropout=float(values["model.lora.peft-lora-dropout"]),
                strategy_options=_options(values),
                privacy=_privacy(values) if values["privacy.enabled"] else None,
                partition=Partition(
                    kind=str(values["partition.kind"]),
                    alpha=float(values["partition.alpha"]) or None,
                    column=str(values["partition.column"]) or None,
                    labels=int(values["partition.labels"]) or None,
                ),
                schedule=str(values["train.learning-rate-schedule"]),
                minimum_clients=int(values["strategy.min-train-nodes"]),
                evaluate_every=int(values["evaluate.every-rounds"]),
                held_out=int(values["evaluate.held-out-rows"]),
                threads=int(values["train.threads"]),
                template=str(values["train.template"]),
                instruction_columns=listed(str(values["train.instruction-columns"])),
                learn_end_token=bool(values["train.learn-end-token"]),
                draw_anew=bool(values["train.draw-anew"]),
                group_by_length=bool(values["train.group-by-length"]),
                devices=_devices(values),
                compression=str(values["compression.kind"]),
                top_k=float(values["compression.top-k"]),
                own_held_out=int(values["evaluate.own-held-out-rows"]),
                keep_every=int(values["evaluate.keep-every-rounds"]),
                canaries=int(values["train.canaries"]),
            )
        except KeyError as error:
            raise EvaluationError(f"the run configuration has no key {error}") from error
        except ValueError as error:
            raise EvaluationError(f"the run configuration has an unusable value: {error}") from error
        return config

    def as_dict(self) -> dict[str, Any]:
        """A JSON-serialisable form that `from_dict` reads; paths are text."""
        return asdict(self) | {
            "model": str(self.model),
            "train_data": str(self.train_data),
            "target_modules": list(self.target_modules),
            "instruction_columns": list(self.instruction_columns),
            "strategy_options": dict(self.strategy_options),
            "devices": {
                name: list(value) if isinstance(value, tuple) else value
                for name, value in asdict(self.devices).items()
            },
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> FederatedConfig:
        """The inverse of `as_dict`; fields with a default may be missing.

        A run from before there was a choice of templates was trained as BEFORE_TEMPLATES says.
        Raises EvaluationError that names a missing, unknown or ill-typed field.
        """
        stated = values if "template" in values else {**BEFORE_TEMPLATES, **values}
        config: FederatedConfig = typed(cls, stated, "")
        return config


BEFORE_TEMPLATES: Mapping[str, Any] = MappingProxyType(
    {
        "template": "fingpt",
        "instruction_columns": list(BOTH),
        "learn_end_token": True,
        "draw_anew": True,
        "group_by_length": True,
    }
)
"""The settings, as `as_dict` writes them, of runs that were stored without them."""


def _precision(bits: int, kind: str) -> str:
    """The precision that a configuration means; a text that is none where there is none of so many bits."""
    named = [name for name, width in PRECISION_BITS.items() if width == bits]
    return kind if kind in named else named[0] if named else str(bits)


def _adapter(*, use_dora: bool) -> str:
    kind = kinds.of_settings(LORA.peft_type, {"use_dora": use_dora})
    assert kind is not None
    return kind.key


def _options(values: Mapping[str, Scalar]) -> tuple[tuple[str, float], ...]:
    """The chosen strategy's own options; the app's configuration holds those of all strategies."""
    info = STRATEGIES.get(str(values["strategy.name"]))
    names = sorted(option.name for option in info.options) if info else []
    return tuple((name, float(values[f"strategy.{name}"])) for name in names if f"strategy.{name}" in values)


def _privacy(values: Mapping[str, Scalar]) -> Privacy:
    return Privacy(
        clipping=str(values["privacy.clipping-mode"]),
        clipping_norm=float(values["privacy.clipping-norm"]),
        noise_multiplier=float(values["privacy.noise-multiplier"]),
        delta=float(values["privacy.delta"]),
        target_quantile=float(values["privacy.target-quantile"]),
        quantile_rate=float(values["privacy.quantile-rate"]),
    )


def _devices(values: Mapping[str, Scalar]) -> Devices:
    return Devices(
        ranks=numbers(str(values["devices.ranks"]), int),
        steps=numbers(str(values["devices.steps"]), int),
        speeds=numbers(str(values["devices.speeds"]), float),
        deadline=float(values["devices.deadline"]),
        drop_out=float(values["devices.drop-out"]),
        poisoned=int(values["devices.poisoned"]),
    )


def _text(values: tuple[float, ...]) -> str:
    return ",".join(map(str, values))


def numbers(text: str, kind: Callable[[str], N]) -> tuple[N, ...]:
    """Numbers from a comma-separated list. Raises ValueError for one that is none."""
    return tuple(kind(word) for word in text.split(",") if word.strip())


def sampled(clients: int, fraction: float) -> int:
    """How many clients a fraction samples: rounded down as Flower does, but never none."""
    return max(1, int(clients * fraction))


def listed(text: str) -> tuple[str, ...]:
    """Names from a comma-separated list, without repeats."""
    return tuple(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))
