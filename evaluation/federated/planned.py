"""What a run will send, told from its settings and the base model's shapes before it starts."""

from __future__ import annotations

from evaluation.checkpoints.base_model import BaseModelTensors
from evaluation.federated.config import FederatedConfig
from evaluation.method.card import MethodCard
from evaluation.method.communication import FP32_BYTES, adapted_shapes, adapter_parameters
from evaluation.method.strategies import STRATEGIES


def planned_bytes(config: FederatedConfig, base: BaseModelTensors) -> int | None:
    """Bytes of adapter tensors over all rounds, both directions; None without shapes or for no strategy.

    Strategies that send factors of a residual send at least this: their rank comes out of the rounds. Clients
    that give up a part of their rank, drop out or come too late make it less. Of clients with different ranks
    those of a round are taken to have the mean rank. A reference that does not federate communicates nothing.
    """
    info = STRATEGIES.get(config.strategy)
    both = adapter_parameters(method_card(config), base)
    if info is None or both is None:
        return None
    if not info.communicates:
        return 0
    sizes = _sizes(config, base, both)
    copies = 2 if info.control else 1
    down = sizes["A" if info.sends == "A" else "B" if info.sends == "B" else "both"] * FP32_BYTES * copies
    up = [sizes[info.returned_in(number)] for number in (1, 2)]  # in odd rounds and in even ones
    even = config.rounds // 2
    extra = [size * FP32_BYTES * (copies - 1) for size in up]
    odd_up, even_up = (_packed(config, size) + more for size, more in zip(up, extra, strict=True))
    total = down * config.rounds + odd_up * (config.rounds - even) + even_up * even
    return round(total * config.clients_per_round)


def kept_bytes(config: FederatedConfig, base: BaseModelTensors) -> int | None:
    """Bytes of the adapters that are kept on the way, None without shapes.

    With a residual each has the rank that came out of the rounds, and is larger than this.
    """
    numbers = adapter_parameters(method_card(config), base)
    return None if numbers is None else numbers * FP32_BYTES * len(config.kept_rounds)


def _sizes(config: FederatedConfig, base: BaseModelTensors, both: int) -> dict[str, float]:
    """Numbers in A, in B and in a whole adapter, of the clients' mean rank."""
    shapes = adapted_shapes(config.target_modules, base)
    a, b = (sum(shape[side] for shape in shapes) for side in (1, 0))
    rank = sum(config.rank_of(client) for client in range(config.clients)) / config.clients
    beyond = both - config.rank * (a + b)  # magnitudes, which have no rank
    return {"A": rank * a, "B": rank * b, "both": rank * (a + b) + beyond}


def _packed(config: FederatedConfig, numbers: float) -> float:
    """What so many numbers weigh on their way up; scales and the rounding of each tensor's top-k left out."""
    weights = {"bf16": 2, "int8": 1, "top-k": 8 * config.top_k}
    return numbers * weights.get(config.compression, FP32_BYTES)


def method_card(config: FederatedConfig) -> MethodCard:
    """The part of the method card that decides on the adapter's shape."""
    return MethodCard(
        rank=config.rank,
        target_modules=config.target_modules,
        use_dora=config.kind.use_dora,
    )
