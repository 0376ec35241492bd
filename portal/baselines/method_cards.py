"""A run's settings from a submission's method card: what retraining starts from. Never its code.

A card need not say everything, and may say what is not there to choose. Every choice made for it is put in
words, which go with the run and into the entry that comes of it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from evaluation.adapter_kinds import LORA, of_settings
from evaluation.checkpoints.base_model import BaseModelTensors
from evaluation.checkpoints.targets import ends_in
from evaluation.federated import presets
from evaluation.federated.config import FederatedConfig, Privacy, sampled
from evaluation.method.card import MethodCard
from evaluation.method.row_form import COLUMN_CHOICES, TEMPLATES
from evaluation.method.strategies import STRATEGIES, on_card
from evaluation.method.strategy import StrategyInfo
from evaluation.rules.challenges import CHALLENGES, Challenge
from portal.submissions.models import Submission

_OUR_OPTIMISER = "adamw"
_PRECISIONS = {16: "bf16", 32: "fp32", 0: "bf16"}


class NotRetrainable(Exception):
    """The submission has nothing to retrain from; the text says why."""


@dataclass
class _Reading:
    card: MethodCard
    challenge: Challenge
    adapter: Mapping[str, Any]
    rows: int | None
    base: BaseModelTensors | None
    settings: dict[str, Any] = field(default_factory=dict)
    assumed: list[str] = field(default_factory=list)

    def take(self, name: str, value: Any, instead: Any, unit: str = "") -> None:
        """The card's value, or another one in its place, which is said."""
        self.settings[name] = instead if value is None else value
        if value is None:
            label = name.replace("_", " ")
            self.assumed.append(f"{label.capitalize()}: not on the card, {instead:g}{unit} here.")


def settings_of(submission: Submission, rows: int | None) -> tuple[dict[str, Any], tuple[str, ...]]:
    """The settings of a run like that of `submission`, and what was assumed, in sentences.

    `rows` is the number of training rows, which turns epochs into steps. Raises NotRetrainable.
    """
    if submission.method_card is None or submission.checkpoint is None:
        raise NotRetrainable("Only a submission with an adapter and a method card can be retrained.")
    tensors = submission.base_model.tensors
    reading = _Reading(
        MethodCard.from_json(submission.method_card),
        CHALLENGES[submission.challenge],
        submission.checkpoint.adapter_config,
        rows,
        BaseModelTensors.from_json(tensors) if tensors else None,
    )
    reading.settings = presets.get(submission.challenge).of(reading.challenge)
    _strategy(reading)
    _federation(reading)
    _local_training(reading)
    _row_form(reading)
    _adapter(reading)
    _privacy(reading)
    for name in ("seed", "threads"):
        reading.assumed.append(f"{name.capitalize()}: cards have none, {reading.settings[name]} here.")
    return reading.settings, tuple(reading.assumed)


def changes(config: FederatedConfig, settings: Mapping[str, Any]) -> tuple[str, ...]:
    """What `config` has otherwise than the `settings` that the card gave, in sentences."""
    current = {f.name: getattr(config, f.name) for f in fields(config)}
    return tuple(
        f"{name.replace('_', ' ').capitalize()}: changed to {_plain(current[name])} from {_plain(value)}."
        for name, value in settings.items()
        if _plain(current[name]) != _plain(value)
    )


def _strategy(reading: _Reading) -> None:
    named = reading.card.strategy or ""
    info = on_card(named)
    if info is None:
        words = f"{named} is none of this site's strategies" if named else "not on the card"
        reading.assumed.append(f"Strategy: {words}, FedAvg here.")
        info = STRATEGIES["fedavg"]
    reading.settings["strategy"] = info.name
    reading.settings["strategy_options"] = _options(reading, info)


def _options(reading: _Reading, info: StrategyInfo) -> tuple[tuple[str, float], ...]:
    known = {option.name.replace("-", ""): option.name for option in info.options}
    taken: dict[str, float] = {}
    for key, value in reading.card.strategy_options:
        name = known.get(key.rpartition(".")[2].replace("-", "").replace("_", "").lower())
        if name and isinstance(value, int | float):
            taken[name] = float(value)
        else:
            reading.assumed.append(f"{key} {_plain(value)} on the card: no option here.")
    for option in info.options:
        if option.name not in taken:
            reading.assumed.append(f"{option.name}: not on the card, {option.default:g} here.")
    return tuple(sorted(taken.items()))


def _federation(reading: _Reading) -> None:
    card, settings = reading.card, reading.settings
    reading.take("clients", card.clients, reading.challenge.clients)
    drawn = card.clients_per_round
    if drawn is None and card.fraction is not None:
        drawn = sampled(settings["clients"], card.fraction)
    reading.take("clients_per_round", drawn, min(settings["clients_per_round"], settings["clients"]))
    reading.take("rounds", card.rounds, settings["rounds"])


def _local_training(reading: _Reading) -> None:
    card, settings = reading.card, reading.settings
    accumulated = card.gradient_accumulation or 1
    batch = None if card.batch_size is None else card.batch_size * accumulated
    reading.take("batch_size", batch, settings["batch_size"])
    if batch and accumulated > 1:
        reading.assumed.append(f"Batches of {batch} at once, where the card accumulates {accumulated}.")
    steps = card.local_steps
    if steps is None and card.local_epochs is not None and reading.rows:
        share = reading.rows / settings["clients"]
        steps = max(1, math.ceil(card.local_epochs * share / settings["batch_size"]))
        reading.assumed.append(f"{card.local_epochs:g} local epochs are {steps} steps on these rows.")
    reading.take("local_steps", steps, settings["local_steps"])
    reading.take("sequence_length", card.sequence_length, settings["sequence_length"], " tokens")
    highest = card.learning_rate_max
    reading.take("learning_rate", highest, settings["learning_rate"])
    lowest = card.learning_rate_min if highest is not None else settings["learning_rate_min"]
    settings["learning_rate_min"] = settings["learning_rate"] if lowest is None else lowest
    settings["schedule"] = (
        "constant" if settings["learning_rate_min"] == settings["learning_rate"] else "cosine"
    )
    if card.optimizer and not card.optimizer.lower().replace("_", "").startswith(_OUR_OPTIMISER):
        reading.assumed.append(f"Optimiser: {card.optimizer} on the card, AdamW here.")


def _adapter(reading: _Reading) -> None:
    """From the adapter itself, which can't be mistaken about its own shape."""
    card, config, settings = reading.card, reading.adapter, reading.settings
    settings["rank"] = int(config["r"])
    settings["alpha"] = round(float(config["lora_alpha"]))
    settings["adapter"] = (of_settings(str(config["peft_type"]), config) or LORA).key
    settings["dropout"] = float(config.get("lora_dropout") or card.dropout or 0.0)
    if config.get("use_rslora"):
        reading.assumed.append("Scale: rank-stabilised in the adapter's configuration, alpha / rank here.")
    if config.get("rank_pattern") or config.get("alpha_pattern"):
        reading.assumed.append("Single modules have a rank or alpha of their own in the adapter, none here.")
    _targets(reading)
    precision = _precision(card)
    if precision and card.quantization == 4 and card.quantization_type is None:
        reading.assumed.append(
            f"Kind of 4-bit: not on the card, {precision} here, as the public apps have it."
        )
    if precision is None:
        stated = "not on the card" if card.quantization is None else f"{card.quantization}-bit on the card"
        reading.assumed.append(f"Precision: {stated}, {settings['precision']} here.")
    else:
        settings["precision"] = precision


def _precision(card: MethodCard) -> str | None:
    if card.quantization == 4:
        return card.quantization_type or "fp4"
    return None if card.quantization is None else _PRECISIONS.get(card.quantization)


def _row_form(reading: _Reading) -> None:
    """How a row is written; of what the public apps never state, what they do."""
    card, settings = reading.card, reading.settings
    if card.template in TEMPLATES:
        settings["template"] = card.template
    else:
        stated = f"{card.template} on the card, which is none here" if card.template else "not on the card"
        reading.assumed.append(f"Template of the rows: {stated}, {settings['template']} here.")
    if card.instruction_columns in COLUMN_CHOICES:
        settings["instruction_columns"] = card.instruction_columns
    for name in ("learn_end_token", "draw_anew", "group_by_length"):
        settings[name] = bool(getattr(card, name))


def _targets(reading: _Reading) -> None:
    """The names of the modules; a stored checkpoint lists them one by one, layer after layer."""
    listed = reading.adapter.get("target_modules")
    if not isinstance(listed, list):
        ours = ", ".join(reading.settings["target_modules"])
        reading.assumed.append(f"Target modules: {listed} in the adapter's configuration, {ours} here.")
        return
    names = tuple(dict.fromkeys(str(module).rpartition(".")[2] for module in listed))
    reading.settings["target_modules"] = names
    in_all = [m for m in reading.base.matrix_modules if ends_in(m, names)] if reading.base else []
    if any("." in module for module in listed) and len(in_all) > len(listed):
        reading.assumed.append(
            f"Target modules: the adapter has {len(listed)} of the {len(in_all)} modules of these names, "
            "all are trained here."
        )


def _privacy(reading: _Reading) -> None:
    stated = reading.card.differential_privacy
    if stated is None:
        return
    given = {name: getattr(stated, name) for name in ("noise_multiplier", "clipping_norm", "delta")}
    ours = Privacy(**{name: value for name, value in given.items() if value is not None})
    reading.settings["privacy"] = ours
    for name, value in given.items():
        if value is None:
            reading.assumed.append(
                f"Privacy, {name.replace('_', ' ')}: not on the card, {getattr(ours, name):g} here."
            )


def _plain(value: object) -> str:
    if isinstance(value, float):
        return f"{value:g}"
    return ", ".join(map(_plain, value)) if isinstance(value, tuple | list) else str(value)
