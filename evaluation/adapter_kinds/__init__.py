"""The kinds of adapters that are taken, one module each. Light to import: the web pages read it too."""

from __future__ import annotations

from collections.abc import Mapping

from evaluation.adapter_kinds.dora import DORA
from evaluation.adapter_kinds.kind import AdapterKind, Part, Shape
from evaluation.adapter_kinds.lora import LORA
from evaluation.names import lookup

__all__ = [
    "KINDS",
    "LORA",
    "AdapterKind",
    "Part",
    "Shape",
    "get",
    "of_parts",
    "of_settings",
    "parts",
    "title",
    "trained",
]

KINDS: dict[str, AdapterKind] = {kind.key: kind for kind in (LORA, DORA)}


def get(key: str) -> AdapterKind:
    """The kind by its name in the settings of a run. Raises UnknownNameError with near names."""
    return lookup("kind of adapter", key, KINDS)


def of_settings(peft_type: str, settings: Mapping[str, object]) -> AdapterKind | None:
    """The kind of an adapter_config.json, of several the one that asks most; a key that it lacks is false."""
    of_type = (kind for kind in KINDS.values() if kind.peft_type == peft_type.upper())
    fits = (k for k in of_type if all(bool(settings.get(key)) == on for key, on in k.settings.items()))
    return max(fits, key=lambda kind: len(kind.settings), default=None)


def of_parts(names: frozenset[str]) -> AdapterKind:
    """The first kind that has parts of all these names, for tensors without a configuration; else LoRA."""
    return next((kind for kind in KINDS.values() if kind.has_all(names)), LORA)


def trained() -> dict[str, AdapterKind]:
    """Those that the federated app can train, by key."""
    return {key: kind for key, kind in KINDS.items() if kind.trained}


def title(peft_type: str | None, use_dora: bool | None) -> str:
    """The kind that a method card states, like LoRA or DoRA; as written where it is none of these, or ""."""
    if not peft_type and not use_dora:
        return ""
    kind = of_settings(peft_type or LORA.peft_type, {"use_dora": use_dora})
    return kind.title if kind else peft_type or ""


def parts() -> dict[str, Part]:
    """All parts that any kind has, by name."""
    return {part.name: part for kind in KINDS.values() for part in kind.parts}
