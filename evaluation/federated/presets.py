"""Named settings to start from: the challenges' official templates, the paper's protocol, a CPU's size.

Light to import: the command line, the portal's form and the API offer the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

from evaluation.federated.config import ALL_LINEAR, PEFT_DEFAULT, THREADS, FederatedConfig, sampled
from evaluation.method.row_form import BOTH
from evaluation.method.strategies import STRATEGIES
from evaluation.names import lookup
from evaluation.rules import challenges
from evaluation.rules.challenges import Challenge


@dataclass(frozen=True)
class Preset:
    """Settings of a run by their field names, all but the model and its rows.

    `demonstration`: it is made for the demonstration's small base model. `grid` are the strategies where the
    preset stands for several runs, one each; it is empty for a single run. `options` are those of strategies
    that have others here than by default.
    """

    name: str
    title: str
    summary: str
    settings: Mapping[str, Any]
    demonstration: bool = False
    grid: tuple[str, ...] = ()
    options: Mapping[str, Mapping[str, float]] = field(default_factory=dict)

    def of(self, challenge: Challenge, strategy: str | None = None) -> dict[str, Any]:
        """The settings for a challenge, which decides on clients where the preset follows it.

        With another strategy than the preset's its options are those that the preset has for it.
        """
        settings = dict(self.settings) | {"challenge": challenge.slug}
        settings["strategy"] = strategy or settings["strategy"]
        settings["strategy_options"] = tuple(sorted(self.options.get(settings["strategy"], {}).items()))
        fraction = settings.pop("fraction", None)
        settings.setdefault("clients", challenge.clients)
        if fraction is not None:
            settings["clients_per_round"] = sampled(settings["clients"], fraction)
        settings.setdefault("clients_per_round", challenge.baseline_clients_per_round)
        return settings


# FlowerTune's template, as the public apps run it: FedAvg, 200 rounds, LoRA on what PEFT takes by default,
# weights in 4 bits as bitsandbytes has them when it is told no kind, rows in Alpaca's form.
_TEMPLATE: dict[str, Any] = {
    "strategy": "fedavg",
    "rounds": 200,
    "local_steps": 10,
    "batch_size": 16,
    "sequence_length": 512,
    "learning_rate": 5e-5,
    "learning_rate_min": 1e-6,
    "rank": 32,
    "alpha": 64,
    "dropout": 0.075,
    "target_modules": (PEFT_DEFAULT,),
    "precision": "fp4",
    "seed": 42,
    "template": "alpaca",
    "learn_end_token": False,
    "draw_anew": False,
    "group_by_length": False,
    "threads": THREADS,
}

# What makes a small model learn something from few rows in few steps, and is not in the public apps.
SMALL_RUN = {"template": "fingpt", "learn_end_token": True, "draw_anew": True, "group_by_length": True}

# Small enough for two CPU cores: every strategy in minutes.
_CPU_SMALL: Mapping[str, Any] = _TEMPLATE | {
    "clients": 4,
    "clients_per_round": 4,
    "rounds": 2,
    "local_steps": 3,
    "batch_size": 4,
    "sequence_length": 96,
    "learning_rate": 1e-3,
    "learning_rate_min": 1e-3,
    "schedule": "constant",
    "rank": 8,
    "alpha": 16,
    "dropout": 0.0,
    "precision": "fp32",
    "evaluate_every": 1,
    "held_out": 32,
    **SMALL_RUN,
}


# Of four clients the least that is cut off at either end is a quarter.
_SMALL_OPTIONS: Mapping[str, Mapping[str, float]] = MappingProxyType({"fedtrimmedavg": {"beta": 0.25}})

# The strategies of the paper's study, with the defaults of Flower's FedAdam and FedAvgM at the time.
_PAPER_OPTIONS: Mapping[str, Mapping[str, float]] = {
    "fedprox": {"proximal-mu": 1.0},
    "fedadam": {"eta": 0.1, "tau": 1e-9},
    "fedavgm": {"server-learning-rate": 1.0, "server-momentum": 0.0},
}


def _template(challenge: Challenge) -> Preset:
    return Preset(
        challenge.slug,
        f"{challenge.title} template",
        f"FlowerTune's official settings: FedAvg, 200 rounds, {challenge.baseline_clients_per_round} of "
        f"{challenge.clients} clients a round.",
        _TEMPLATE | {"challenge": challenge.slug},
    )


_ALL = (
    *map(_template, challenges.CHALLENGES.values()),
    Preset(
        "paper",
        "The paper's protocol",
        "15 rounds of a fifth of the clients, DoRA of rank 32 on all linear layers, and its strategies' "
        "options (arXiv 2506.02961).",
        _TEMPLATE
        | {
            "challenge": "general-nlp",
            "rounds": 15,
            "fraction": 0.2,
            "adapter": "dora",
            "target_modules": (ALL_LINEAR,),
            "instruction_columns": BOTH,
        },
        options=MappingProxyType(_PAPER_OPTIONS),
    ),
    Preset(
        "cpu-one",
        "Small, on a CPU",
        "FedAvg with four clients and two rounds, in a minute on two cores.",
        dict(_CPU_SMALL) | {"challenge": "finance"},
        demonstration=True,
        options=_SMALL_OPTIONS,
    ),
    Preset(
        "cpu-small",
        "Every strategy, on a CPU",
        "All strategies of the table with four clients and two rounds, in minutes on two cores.",
        dict(_CPU_SMALL) | {"challenge": "finance"},
        demonstration=True,
        grid=tuple(STRATEGIES),
        options=_SMALL_OPTIONS,
    ),
)

PRESETS: Mapping[str, Preset] = MappingProxyType({preset.name: preset for preset in _ALL})


def get(name: str) -> Preset:
    """The preset of that name. Raises UnknownNameError with near names."""
    return lookup("preset", name, PRESETS)


def config(
    settings: Mapping[str, Any], *, model: Path, base_model_id: str, train_data: Path
) -> FederatedConfig:
    """The run of a preset's settings on a base model and rows."""
    return FederatedConfig(**settings, model=model, base_model_id=base_model_id, train_data=train_data)
