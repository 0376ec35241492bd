"""The engines, by name. A name's module, and the libraries it needs, are imported when it is asked for."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from types import MappingProxyType

from evaluation.engines.engine import Answered, Engine, EngineFacts
from evaluation.errors import ModelError
from evaluation.names import lookup

AUTO = "auto"
ENGINES: Mapping[str, str] = MappingProxyType(
    {
        "transformers": "evaluation.engines.transformers:TransformersEngine",
        "scripted": "evaluation.engines.scripted:ScriptedEngine",
    }
)


def resolve(name: str) -> str:
    """The engine that a name stands for: `auto` is the best one here. Raises UnknownNameError."""
    if name == AUTO:
        return "transformers"
    lookup("engine", name, ENGINES)
    return name


def create(name: str) -> Engine:
    """A new engine with nothing loaded. Raises UnknownNameError, and ModelError if a package is missing."""
    module, _, attribute = ENGINES[resolve(name)].partition(":")
    try:
        engine_class: type[Engine] = getattr(importlib.import_module(module), attribute)
    except ImportError as error:
        raise ModelError(
            f"the engine {name!r} needs a package that cannot be imported: {error}; "
            "install the project with its extra `worker`"
        ) from error
    return engine_class()


__all__ = ["AUTO", "ENGINES", "Answered", "Engine", "EngineFacts", "create", "resolve"]
