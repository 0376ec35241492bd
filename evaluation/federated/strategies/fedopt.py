"""FedAdam and FedYogi: "Adaptive Federated Optimization" (arXiv 2003.00295).

    Δ_t = Σ_k (n_k / n) w_k - w_t,   m_t = β₁ m_{t-1} + (1 - β₁) Δ_t
    FedAdam:  v_t = β₂ v_{t-1} + (1 - β₂) Δ_t²
    FedYogi:  v_t = v_{t-1} - (1 - β₂) Δ_t² sign(v_{t-1} - Δ_t²)
    w_{t+1} = w_t + η m_t / (√v_t + τ)

from m_0 = v_0 = 0. Flower corrects FedAdam's η for that start: in round t it takes
η √(1 - β₂^{t+1}) / (1 - β₁^{t+1}). Our default η is 0.01, not Flower's 0.1: a round moves an adapter's
numbers by far less than it moves a whole network's.
"""

from __future__ import annotations

from flwr.serverapp import strategy as flower

from evaluation.federated.config import FederatedConfig
from evaluation.federated.factors import Arrays
from evaluation.federated.strategies.fedavg import arguments


class Moments(flower.FedAvg):
    """Flower's FedOpt family, whose moments can be saved and put back."""

    m_t: Arrays | None
    v_t: Arrays | None

    def state(self) -> dict[str, Arrays]:
        """Both moments, once there are any."""
        return {} if not self.m_t or not self.v_t else {"first-moment": self.m_t, "second-moment": self.v_t}

    def restore(self, state: dict[str, Arrays]) -> None:
        """Go on from a saved state."""
        self.m_t, self.v_t = state.get("first-moment"), state.get("second-moment")


class FedAdam(Moments, flower.FedAdam):
    """Flower's own."""


class FedYogi(Moments, flower.FedYogi):
    """Flower's own."""


def build(config: FederatedConfig) -> FedAdam | FedYogi:
    """The one that the run names, with its options."""
    chosen = config.effective_options
    kind = FedAdam if config.strategy == "fedadam" else FedYogi
    return kind(
        **arguments(),
        eta=chosen["eta"],
        beta_1=chosen["beta-1"],
        beta_2=chosen["beta-2"],
        tau=chosen["tau"],
    )
