"""FedAvgM: "Measuring the Effects of Non-Identical Data Distribution …" (arXiv 1909.06335).

    Δ_t = w_t - Σ_k (n_k / n) w_k,   v_t = β v_{t-1} + Δ_t,   w_{t+1} = w_t - η v_t

with the server's momentum β and learning rate η.
"""

from __future__ import annotations

from flwr.app import ArrayRecord
from flwr.serverapp import strategy as flower

from evaluation.federated.config import FederatedConfig
from evaluation.federated.factors import Arrays, Matrix
from evaluation.federated.strategies.fedavg import arguments

_VELOCITY = "velocity"


class FedAvgM(flower.FedAvgM):
    """Flower's own, whose velocity can be saved and put back. It needs tensors sorted by name."""

    current_arrays: ArrayRecord | None
    momentum_vector: list[Matrix] | None

    def state(self) -> dict[str, Arrays]:
        """The velocity v, once there is one."""
        if self.momentum_vector is None or self.current_arrays is None:
            return {}
        return {_VELOCITY: dict(zip(sorted(self.current_arrays), self.momentum_vector, strict=True))}

    def restore(self, state: dict[str, Arrays]) -> None:
        """Go on from a saved state, with the arrays of the next `configure_train`."""
        self.current_arrays = None
        velocity = state.get(_VELOCITY)
        self.momentum_vector = [velocity[name] for name in sorted(velocity)] if velocity else None


def build(config: FederatedConfig) -> FedAvgM:
    """With the run's options."""
    chosen = config.effective_options
    return FedAvgM(
        **arguments(),
        server_learning_rate=chosen["server-learning-rate"],
        server_momentum=chosen["server-momentum"],
    )
