"""What a run will send, told from its settings and the base model's shapes before it starts."""

from __future__ import annotations

from evaluation.checkpoints.base_model import BaseModelTensors
from evaluation.federated.config import FederatedConfig
from evaluation.method.card import MethodCard
from evaluation.method.communication import FP32_BYTES, adapted_shapes, adapter_parameters
from evaluation.method.strategies import STRATEGIES


def planned_bytes(config: FederatedConfig, base: BaseModelTensors) -> int | None:
    """Bytes of adapter tensors over all rounds, both directions; None without shapes or for no strategy.

    Strategies that send factors of a residual send at least this: their rank comes out of the rounds.
    A reference that does not federate communicates nothing.
    """
    info = STRATEGIES.get(config.strategy)
    both = adapter_parameters(method_card(config), base)
    if info is None or both is None:
        return None
    if not info.communicates:
        return 0
    shapes = adapted_shapes(config.target_modules, base)
    a, b = (config.rank * sum(shape[side] for shape in shapes) for side in (1, 0))
    down = b if info.sends == "B" else both
    up = {"both": (both, both), "B": (b, b), "alternating": (b, a)}[
        info.trains
    ]  # in odd rounds and in even ones
    even = config.rounds // 2
    numbers = down * config.rounds + up[0] * (config.rounds - even) + up[1] * even
    return numbers * FP32_BYTES * config.clients_per_round


def method_card(config: FederatedConfig) -> MethodCard:
    """The part of the method card that decides on the adapter's shape."""
    return MethodCard(
        rank=config.rank,
        target_modules=config.target_modules,
        use_dora=config.kind.use_dora,
    )
