"""What a retraining has otherwise than the original's method card says, or what the card does not say.

Two runs that agree in all that is asked here differ in chance alone: the seed, the order, the hardware. Where
a card is silent on what FlowerTune's public apps never state, they are taken to have done as those apps do.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields, replace
from typing import Any

from evaluation.method.card import MethodCard
from evaluation.method.row_form import columns_of
from evaluation.rules.challenges import CHALLENGES

Fact = Callable[[MethodCard], object]

# What matters and is never silently taken for granted: its name, and where it stands on a card.
_STATED: tuple[tuple[str, Fact], ...] = (
    ("strategy", lambda card: card.strategy),
    ("clients", lambda card: card.clients),
    ("clients a round", lambda card: card.clients_per_round),
    ("rounds", lambda card: card.rounds),
    ("local steps", lambda card: card.local_steps),
    ("batch size", lambda card: card.batch_size and card.batch_size * (card.gradient_accumulation or 1)),
    ("sequence length", lambda card: card.sequence_length),
    ("learning rate of the first round", lambda card: card.learning_rate_max),
    ("learning rate of the last round", lambda card: card.learning_rate_min),
    ("rank", lambda card: card.rank),
    ("alpha", lambda card: card.alpha),
    ("dropout", lambda card: card.dropout),
    ("target modules", lambda card: card.target_modules and tuple(sorted(card.target_modules))),
    ("bits of a weight", lambda card: card.quantization),
    ("template of the rows", lambda card: card.template),
)
# What a card that is silent on it has all the same.
_USUAL: tuple[tuple[str, Fact], ...] = (
    ("adapter", lambda card: "DoRA" if card.use_dora else "LoRA"),
    ("optimiser", lambda card: _optimiser(card.optimizer)),
    ("kind of 4-bit", lambda card: (card.quantization_type or "fp4") if card.quantization == 4 else "none"),
    ("learning of the end token", lambda card: bool(card.learn_end_token)),
    ("drawing of rows anew", lambda card: bool(card.draw_anew)),
    ("grouping by length", lambda card: bool(card.group_by_length)),
    ("differential privacy", lambda card: card.differential_privacy),
    ("how clients differ", lambda card: card.differing or "not at all"),
)
# What an adapter's configuration alone says. Runs here have one rank, one alpha and LoRA's own scale.
_OF_ADAPTERS: tuple[tuple[str, Callable[[Mapping[str, Any]], object]], ...] = (
    ("rank-stabilised scale", lambda settings: bool(settings.get("use_rslora"))),
    ("modules with a rank of their own", lambda settings: _others(settings, "rank_pattern", "r")),
    ("modules with an alpha of their own", lambda settings: _others(settings, "alpha_pattern", "lora_alpha")),
    ("adapted modules", lambda settings: len(settings.get("target_modules") or ())),
)


def with_adapter(card: MethodCard, settings: Mapping[str, Any]) -> MethodCard:
    """A card with what the adapter's own configuration says, which can't be mistaken about its shape."""
    targets = settings.get("target_modules")
    names = {str(name).rpartition(".")[2] for name in targets} if isinstance(targets, list) else None
    return replace(
        card,
        rank=settings.get("r", card.rank),
        alpha=settings.get("lora_alpha", card.alpha),
        dropout=settings.get("lora_dropout", card.dropout),
        use_dora=settings.get("use_dora", card.use_dora),
        target_modules=tuple(sorted(names)) if names else card.target_modules,
    )


def unequal_adapters(original: Mapping[str, Any], retrained: Mapping[str, Any]) -> tuple[str, ...]:
    """The same of what no card holds, by the normalised configurations of the two adapters."""
    return tuple(
        _differs(name, there, here)
        for name, fact in _OF_ADAPTERS
        if (there := fact(original)) != (here := fact(retrained))
    )


def unlike(first: MethodCard, further: MethodCard) -> tuple[str, ...]:
    """What two runs of a team say otherwise, in sentences; silence in both is no difference."""
    return tuple(
        f"{field.name.replace('_', ' ').capitalize()}: {_text(there)} in the first, {_text(here)} here."
        for field in fields(MethodCard)
        if (there := getattr(first, field.name)) != (here := getattr(further, field.name))
    )


def unequal(original: MethodCard, retrained: MethodCard, challenge: str) -> tuple[str, ...]:
    """What keeps a difference between the two from saying anything of the method, in sentences."""
    return tuple(_unequal(original, retrained, challenge))


def _unequal(original: MethodCard, retrained: MethodCard, challenge: str) -> Iterator[str]:
    for name, fact in _STATED:
        yield from _compared(name, fact(original), fact(retrained))
    yield from _options(original, retrained)
    if original.template == "alpaca":
        columns = [card.instruction_columns or columns_of(challenge) for card in (original, retrained)]
        yield from _compared("columns of the instruction", *columns)
    for name, fact in _USUAL:
        there, here = fact(original), fact(retrained)
        if there != here:
            yield _differs(name, there, here)
    yield from _compared("training rows", *(_rows(card, challenge) for card in (original, retrained)))


def _compared(name: str, there: object, here: object) -> Iterator[str]:
    if there in (None, "", ()):
        yield f"{name.capitalize()}: not stated."
    elif there != here:
        yield _differs(name, there, here)


def _differs(name: str, there: object, here: object) -> str:
    return f"{name.capitalize()}: {_text(there)} in the original, {_text(here)} here."


def _options(original: MethodCard, retrained: MethodCard) -> Iterator[str]:
    """Every option of the strategy, by the letters of its name."""
    there, here = ({_letters(key): value for key, value in c.strategy_options} for c in (original, retrained))
    for key, value in retrained.strategy_options:
        yield from _compared(f"option {key}", there.get(_letters(key)), value)
    for key, value in original.strategy_options:
        if _letters(key) not in here:
            yield f"Option {key}: {_text(value)} in the original, none here."


def _others(settings: Mapping[str, Any], pattern: str, common: str) -> int:
    """How many modules have another value than the adapter's."""
    values = (settings.get(pattern) or {}).values()
    return sum(value != settings.get(common) for value in values)


def _rows(card: MethodCard, challenge: str) -> str | None:
    """The training rows by name; all names of the challenge's own data set are one, at whatever commit.

    Cards of people's runs state no commit, those of this site's have it behind an @.
    """
    named = (card.training_rows or card.static_dataset or "").partition("@")[0]
    found = CHALLENGES[challenge]
    known = {name.casefold() for name in (*found.training_sets, *found.former_training_sets)}
    return found.training_sets[0] if named and named.casefold() in known else named or None


def _optimiser(name: str | None) -> str:
    """AdamW, which Trainer takes by default, in any of its implementations."""
    plain = (name or "adamw").lower()
    return "adamw" if plain.startswith("adamw") else plain


def _letters(key: str) -> str:
    return re.sub(r"[^a-z0-9]", "", key.rpartition(".")[2].lower())


def _text(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, tuple):
        return ", ".join(map(str, value))
    return f"{value:g}" if isinstance(value, float) else str(value or "none")
