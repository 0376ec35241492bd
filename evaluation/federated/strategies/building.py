"""Makes the Flower strategy of a run."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from evaluation.method.strategies import get

if TYPE_CHECKING:
    from evaluation.federated.config import FederatedConfig


def build(config: FederatedConfig) -> Any:
    """The Flower strategy that a run uses, with the run's options, clipping and noise."""
    module, _, function = get(config.strategy).builder.partition(":")
    strategy = getattr(importlib.import_module(module), function)(config)
    if config.privacy is None:
        return strategy
    privacy = importlib.import_module("evaluation.federated.privacy")
    return privacy.protected(strategy, config)
