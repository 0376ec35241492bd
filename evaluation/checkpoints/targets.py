"""Which modules a configuration targets, and with which rank and alpha, by PEFT's rules."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import TypeVar

from evaluation.checkpoints.adapter_config import AdapterConfig
from evaluation.checkpoints.base_model import is_embedding, is_output_head
from evaluation.checkpoints.patterns import full_matches

# PEFT's own word, and that of apps which fill in the names of all linear modules for it.
_ALL_LINEAR = frozenset({"all-linear", "all_linear", "all"})
_PLAIN = re.compile(r"[\w.\-]+", re.ASCII)
_LAYER = re.compile(r"[^.]*(?:\.[^.]*)*?\.(?P<index>\d+)\.", re.ASCII)

Number = TypeVar("Number", int, float)


def targeted_modules(config: AdapterConfig, modules: Sequence[str]) -> frozenset[str]:
    """Those of `modules` (with two-dimensional weights) that the configuration puts LoRA on.

    All of them when it names no target modules. Raises PatternError on a regular expression that is
    malformed, refers back or takes too many steps.
    """
    targets = config.target_modules
    if not targets:
        chosen = frozenset(modules)
    elif is_all_linear((targets,) if isinstance(targets, str) else targets):
        chosen = frozenset(name for name in modules if not is_embedding(name) and not is_output_head(name))
    elif isinstance(targets, tuple):
        chosen = frozenset(name for name in modules if ends_in(name, targets) and _in_layers(config, name))
    else:
        chosen = full_matches([targets], modules)[0]
    excluded = config.exclude_modules
    if isinstance(excluded, str) and excluded:
        chosen -= full_matches([excluded], modules)[0]
    elif excluded:
        chosen -= {name for name in chosen if ends_in(name, excluded)}
    return frozenset(
        name for name in chosen if not any(f".{saved}." in f".{name}." for saved in config.modules_to_save)
    )


def is_all_linear(targets: Sequence[str]) -> bool:
    """Whether target modules are the one word that stands for all linear modules but the output head."""
    return len(targets) == 1 and targets[0].lower() in _ALL_LINEAR


def ends_in(name: str, suffixes: Iterable[str]) -> bool:
    """Whether `name` is one of `suffixes` or ends in one, whole components only."""
    known = frozenset(suffixes)
    return not known.isdisjoint(_tails(name))


def by_module(pattern: Mapping[str, Number], default: Number, modules: Sequence[str]) -> dict[str, Number]:
    """The value for each module: that of the first key of `pattern` which matches its end, else `default`.

    PEFT matches `(.*\\.)?(key)$`. Raises PatternError as `targeted_modules` does.
    """
    if not pattern:
        return dict.fromkeys(modules, default)
    position = {key: index for index, key in enumerate(pattern)}
    plain = {key for key in pattern if _PLAIN.fullmatch(key)}
    complex_keys = [key for key in pattern if key not in plain]
    matches = full_matches([rf"(.*\.)?({key})" for key in complex_keys], modules) if complex_keys else []
    values: dict[str, Number] = {}
    for name in modules:
        keys = [tail for tail in _tails(name) if tail in plain]
        keys += [key for key, names in zip(complex_keys, matches, strict=True) if name in names]
        values[name] = pattern[min(keys, key=position.__getitem__)] if keys else default
    return values


def _tails(name: str) -> list[str]:
    """a.b.c → a.b.c, b.c, c"""
    components = name.split(".")
    return [".".join(components[start:]) for start in range(len(components))]


def _in_layers(config: AdapterConfig, name: str) -> bool:
    """Whether the module's layer is among `layers_to_transform`, which is empty for all layers."""
    if not config.layers_to_transform:
        return True
    if not config.layers_pattern:
        match = _LAYER.match(name)
        return match is not None and int(match["index"]) in config.layers_to_transform
    for pattern in config.layers_pattern:
        _, found, rest = f".{name}".partition(f".{pattern}.")
        index = rest.partition(".")[0]
        if found and index.isdecimal():
            return int(index) in config.layers_to_transform
    return False
