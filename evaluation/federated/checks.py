"""Whether a run can work: every problem of its settings at once, before anything is started.

Light to import: the command line, the portal's form and the API show the same list.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evaluation import adapter_kinds
from evaluation.checkpoints.base_model import BaseModelTensors
from evaluation.checkpoints.targets import ends_in
from evaluation.errors import DataError, EvaluationError, ModelError, UnknownNameError
from evaluation.federated.config import (
    ALL_LINEAR,
    CLIPPING,
    COMPRESSIONS,
    PARTITIONS,
    PEFT_DEFAULT,
    PRECISION_BITS,
    SCHEDULES,
    FederatedConfig,
)
from evaluation.federated.planned import planned_bytes
from evaluation.findings import Finding, FindingCollector, Severity, excerpt
from evaluation.method.communication import adapted_shapes, check_budget
from evaluation.method.row_form import COLUMN_CHOICES, TEMPLATES
from evaluation.method.strategies import STRATEGIES
from evaluation.method.strategy import MOST_CLIENTS, StrategyInfo
from evaluation.names import unknown
from evaluation.rules import challenges

# Lowest and highest value that makes sense; more is a slip of the keyboard, and the web takes these too.
_COUNTS = {
    "clients": (1, MOST_CLIENTS),
    "clients_per_round": (1, MOST_CLIENTS),
    "minimum_clients": (1, MOST_CLIENTS),
    "rounds": (1, 10_000),
    "local_steps": (1, 100_000),
    "batch_size": (1, 4_096),
    "sequence_length": (8, 1_048_576),
    "rank": (1, 4_096),
    "alpha": (1, 1_000_000),
    "evaluate_every": (0, 10_000),
    "held_out": (0, 10_000_000),
    "own_held_out": (0, 1_000_000),
    "keep_every": (0, 10_000),
    "canaries": (0, 100),
    "seed": (0, 2**63 - 1),
    "threads": (1, 1_024),
}
_CHOICES = {
    "adapter": tuple(adapter_kinds.trained()),
    "schedule": SCHEDULES,
    "precision": tuple(PRECISION_BITS),
    "template": tuple(TEMPLATES),
    "compression": COMPRESSIONS,
}


def findings(
    config: FederatedConfig, rows: int | None = None, base: BaseModelTensors | None = None
) -> tuple[Finding, ...]:
    """Every problem of a run's settings, errors first; the location is the field's name.

    `rows` is the number of training rows and `base` the base model's tensors; without them, what they
    decide is not checked. Whether files exist is `check_files`'s to say.
    """
    checks = _Checks(config, FindingCollector())
    checks.names()
    checks.row_form()
    checks.numbers()
    checks.sampling(rows)
    checks.learning_rates()
    checks.partition()
    checks.privacy()
    checks.devices()
    checks.compression()
    if base is not None:
        checks.base_model(base)
    return checks.found.collected()


def check_settings(
    config: FederatedConfig, rows: int | None = None, base: BaseModelTensors | None = None
) -> None:
    """Raise EvaluationError that says all that is wrong with a run's settings."""
    errors = [f for f in findings(config, rows, base) if f.severity is Severity.ERROR]
    if errors:
        raise EvaluationError("; ".join(finding.message.rstrip(".") for finding in errors))


def check_files(config: FederatedConfig) -> None:
    """Raise ModelError or DataError when the base model or the rows are not on this machine."""
    if not (config.model / "config.json").is_file():
        raise ModelError(f"there is no base model in {config.model}: no config.json in that folder")
    if not config.train_data.exists():
        raise DataError(f"training data {config.train_data} does not exist")


def check_output(folder: Path) -> None:
    """Raise EvaluationError when the output folder holds something already or cannot be made."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise EvaluationError(f"the output folder {folder} exists already and is not empty")
    try:
        folder.absolute().parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise EvaluationError(f"the output folder {folder} cannot be made: {error.strerror}") from error


@dataclass(frozen=True)
class _Checks:
    config: FederatedConfig
    found: FindingCollector

    def names(self) -> None:
        """Everything that is one of a list."""
        for field, known in _CHOICES.items():
            self._one_of(field, getattr(self.config, field), known)
        self._known("run.challenge", "challenge", challenges.CHALLENGES)
        self._known("run.strategy", "strategy", STRATEGIES)
        info = STRATEGIES.get(self.config.strategy)
        if info is None:
            return
        kind = adapter_kinds.KINDS.get(self.config.adapter)
        reason = info.refusal(kind) if kind else ""
        if kind and reason:
            self.found.error(
                "run.adapter", f"{info.title} does not go with {kind.title}: {reason}", "adapter"
            )
        if self.config.privacy and info.no_privacy:
            message = f"{info.title} does not go with differential privacy: {info.no_privacy}"
            self.found.error("run.privacy", message, "privacy")
        if self._options(info):
            self._strategy_works(info)

    def row_form(self) -> None:
        """The columns of the instruction."""
        columns = self.config.instruction_columns
        if columns and columns not in COLUMN_CHOICES:
            choices = "; ".join(", ".join(choice) for choice in COLUMN_CHOICES)
            message = f"must be one of: {choices}, not {excerpt(', '.join(columns), 40)!r}"
            self._error("run.value", "instruction_columns", message)

    def numbers(self) -> None:
        """Counts and shares, each in its range."""
        for field, (lowest, highest) in _COUNTS.items():
            value = getattr(self.config, field)
            if not lowest <= value <= highest:
                bounds = f"at least {lowest:,}" if value < lowest else f"at most {highest:,}"
                self._error("run.value", field, f"must be {bounds}, not {value:,}")
        if not 0 <= self.config.dropout < 1:
            self._error("run.value", "dropout", f"must be 0 or more and below 1, not {self.config.dropout:g}")
        if not self.config.target_modules:
            self._error("run.target_modules", "target_modules", "names no module")

    def sampling(self, rows: int | None) -> None:
        """Clients, how many of them a round, and the rows they share."""
        config = self.config
        if config.clients_per_round > config.clients:
            message = f"({config.clients_per_round:,}) is more than the clients ({config.clients:,})"
            self._error("run.value", "clients_per_round", message)
        if config.minimum_clients > config.clients_per_round:
            message = f"({config.minimum_clients:,}) is more than are asked ({config.clients_per_round:,})"
            self._error("run.value", "minimum_clients", message)
        if (config.evaluate_every > 0) != (config.held_out + config.own_held_out > 0):
            message = (
                "held-out and evaluate-every go together: rows kept from training, and how often they serve"
            )
            self.found.error("run.value", message, "held_out" if config.evaluate_every else "evaluate_every")
        if config.keep_every > 0 and not config.kept_rounds:
            message = f"({config.keep_every:,}) keeps nothing in {config.rounds:,} rounds but the result"
            self.found.note("run.kept", f"keep-every {message}", "keep_every")
        if rows is not None and rows - config.held_out < config.clients * (1 + config.own_held_out):
            kept = f" but the {config.held_out:,} held out" if config.held_out else ""
            if config.own_held_out:
                kept += f" with {config.own_held_out:,} of each kept for its own loss"
            message = f"{config.clients:,} clients cannot share the {rows:,} rows{kept}"
            self.found.error("run.rows", message, "clients")
        challenge = challenges.CHALLENGES.get(config.challenge)
        if challenge and challenge.clients != config.clients:
            message = f"{challenge.title} has {challenge.clients} clients, this run {config.clients:,}"
            self.found.note("run.clients", message, "clients")

    def learning_rates(self) -> None:
        config = self.config
        if not 0 < config.learning_rate_min <= config.learning_rate < math.inf:
            message = (
                "learning rates must satisfy 0 < learning-rate-min <= learning-rate, "
                f"not {config.learning_rate_min:g} and {config.learning_rate:g}"
            )
            self.found.error("run.value", message, "learning_rate")
        elif config.schedule == "constant" and config.learning_rate_min != config.learning_rate:
            message = f"is {config.learning_rate:g} in all rounds of a constant schedule"
            self._error("run.value", "learning_rate_min", message)

    def partition(self) -> None:
        partition = self.config.partition
        self._one_of("partition.kind", partition.kind, PARTITIONS)
        drawn = partition.kind in ("dirichlet", "size")
        grouped = partition.kind in ("dirichlet", "natural", "label")
        if drawn and not (partition.alpha is not None and 0 < partition.alpha < math.inf):
            self._error("run.partition", "partition.alpha", f"must be above 0, not {partition.alpha}")
        if not drawn and partition.alpha is not None:
            self._error("run.partition", "partition.alpha", f"means nothing for {partition.kind} partitions")
        if grouped and not partition.column:
            self._error("run.partition", "partition.column", "must name the column that decides")
        if partition.kind == "label" and not (partition.labels and partition.labels > 0):
            self._error("run.partition", "partition.labels", "must be at least 1")
        if partition.kind != "label" and partition.labels is not None:
            self._error("run.partition", "partition.labels", f"means nothing for {partition.kind} partitions")
        if not grouped and partition.column:
            self._error("run.partition", "partition.column", f"means nothing for {partition.kind} partitions")

    def privacy(self) -> None:
        privacy = self.config.privacy
        if privacy is None:
            return
        self._one_of("privacy.clipping", privacy.clipping, CLIPPING)
        for name, value in (
            ("clipping_norm", privacy.clipping_norm),
            ("noise_multiplier", privacy.noise_multiplier),
            ("quantile_rate", privacy.quantile_rate),
        ):
            if not 0 < value < 1e6:
                self._error("run.privacy", f"privacy.{name}", f"must be above 0, not {value:g}")
        for name, value in (("delta", privacy.delta), ("target_quantile", privacy.target_quantile)):
            if not 0 < value < 1:
                self._error("run.privacy", f"privacy.{name}", f"must be between 0 and 1, not {value:g}")

    def devices(self) -> None:
        """What tells the clients apart, each in its range, and that some of them are in time."""
        config, devices = self.config, self.config.devices
        info = STRATEGIES.get(config.strategy)
        for name, lowest, highest in (
            ("ranks", 1, config.rank),
            ("steps", 1, 100_000),
            ("speeds", 1e-6, 1e6),
        ):
            values = getattr(devices, name)
            wrong = next((value for value in values if not lowest <= value <= highest), None)
            if wrong is not None:
                given = excerpt(f"{wrong:,}", 40)
                self._error(
                    "run.value", f"devices.{name}", f"must be from {lowest:,} to {highest:,}, not {given}"
                )
            elif len(values) > max(0, config.clients):
                message = f"({len(values):,}) are more than the clients ({config.clients:,})"
                self._error("run.value", f"devices.{name}", message)
        if devices.ranks and info and not info.ranks:
            several = ", ".join(one.title for one in STRATEGIES.values() if one.ranks)
            message = f"are all the same with {info.title}; clients may differ with {several}"
            self._error("run.value", "devices.ranks", message)
        if devices.steps and info and info.cohort == "one":
            self._error("run.value", "devices.steps", f"mean nothing for {info.title}")
        if not 0 <= devices.drop_out < 1:
            self._error(
                "run.value", "devices.drop_out", f"must be 0 or more and below 1, not {devices.drop_out:g}"
            )
        if not 0 <= devices.poisoned <= max(0, config.clients):
            self._error(
                "run.value",
                "devices.poisoned",
                f"must be from 0 to {config.clients:,}, not {devices.poisoned:,}",
            )
        if not 0 <= devices.deadline < math.inf:
            self._error("run.value", "devices.deadline", f"must be 0 or more, not {devices.deadline:g}")
        elif devices.deadline and not self.found.has_errors and self._all_are_late():
            self._error("run.value", "devices.deadline", "leaves out every client")

    def _all_are_late(self) -> bool:
        config, devices = self.config, self.config.devices
        times = (devices.time(client, config.steps_of(client)) for client in range(config.clients))
        return min(times) > devices.deadline

    def compression(self) -> None:
        info = STRATEGIES.get(self.config.strategy)
        if not 0 < self.config.top_k <= 1:
            self._error("run.value", "top_k", f"must be above 0 and at most 1, not {self.config.top_k:g}")
        if self.config.compression == "none" or info is None:
            return
        if info.sends == "residual":
            message = (
                f"means nothing for {info.title}: what its clients send is no change of what they were sent"
            )
            self._error("run.value", "compression", message)
        if not info.communicates:
            self._error("run.value", "compression", f"means nothing for {info.title}, which sends nothing")

    def base_model(self, base: BaseModelTensors) -> None:
        """Target modules that are not there, ranks over the matrices, and the challenge's budget."""
        modules, targets = base.matrix_modules, self.config.target_modules
        if targets in ((ALL_LINEAR,), (PEFT_DEFAULT,)):
            if not adapted_shapes(targets, base):
                kind = excerpt(base.model_type or "this model", 40)
                message = f"PEFT has no default of its own for {kind}: name modules, or take {ALL_LINEAR}"
                self.found.error("run.target_modules", message, "target_modules")
            targets = ()
        for target in targets:
            named = [module for module in modules if ends_in(module, (target,))]
            if not named:
                there = sorted({module.rpartition(".")[2] for module in modules})
                message = (
                    f"the base model has no module called {excerpt(target, 40)}; it has {', '.join(there)}"
                )
                self.found.error("run.target_modules", message, "target_modules")
        challenge = challenges.CHALLENGES.get(self.config.challenge)
        planned = planned_bytes(self.config, base) if self._has_a_sum() else None
        if challenge and planned is not None:
            check_budget(planned, challenge.communication_budget_bytes, "rounds", self.found)

    def _has_a_sum(self) -> bool:
        """Whether what the run sends can be told of its clients and their ranks."""
        config = self.config
        return config.clients > 0 and all(1 <= rank <= config.rank for rank in config.devices.ranks)

    def _options(self, info: StrategyInfo) -> bool:
        """Whether the strategy takes all options that it is given, as they are."""
        options, fit = {option.name: option for option in info.options}, True
        for name, value in self.config.strategy_options:
            option, place = options.get(name), f"strategy_options.{name}"
            if option is None:
                takes = f"it takes {', '.join(options)}" if options else "it takes none"
                message = f"{info.title} has no option {name}: {takes}"
            elif not option.lowest <= value <= option.highest:
                message = f"{name} must be from {option.lowest:g} to {option.highest:g}, not {value:g}"
            elif option.whole and value != int(value):
                message = f"{name} must be a whole number, not {value:g}"
            else:
                continue
            self.found.error("run.strategy_option", message, place)
            fit = False
        return fit

    def _strategy_works(self, info: StrategyInfo) -> None:
        """A round has enough clients for what the strategy says it does, and it is no other one."""
        options, clients = self.config.effective_options, self.config.clients_per_round
        needed = info.fewest_clients(options)
        if info.fewest and needed > clients:
            wanted = f"at least {needed:,} clients" if needed <= MOST_CLIENTS else "a larger share"
            message = f"{info.title} needs {wanted} a round, not {clients:,}: {info.fewest.reason}"
            self.found.error("run.strategy_clients", message, "clients_per_round")
        if info.is_fedavg(options):
            stated = ", ".join(f"{name} {value:g}" for name, value in sorted(options.items()))
            self.found.note("run.strategy_is_fedavg", f"With {stated} {info.title} is FedAvg.", "strategy")

    def _one_of(self, field: str, value: str, known: tuple[str, ...]) -> None:
        if value not in known:
            self._error("run.value", field, f"must be one of {', '.join(known)}, not {excerpt(value, 40)!r}")

    def _known(self, code: str, field: str, table: Mapping[str, Any]) -> None:
        value = getattr(self.config, field)
        if value not in table:
            error: UnknownNameError = unknown(field, excerpt(value, 40), table)
            self.found.error(code, str(error), field)

    def _error(self, code: str, field: str, message: str) -> None:
        label = field.rpartition(".")[2].replace("_", "-")
        self.found.error(code, f"{label} {message}", field)
