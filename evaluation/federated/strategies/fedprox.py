"""FedProx: "Federated Optimization in Heterogeneous Networks" (arXiv 1812.06127).

    client:  w_k ≈ argmin_w F_k(w) + (μ/2) ‖w - w_t‖²
    server:  w_{t+1} = Σ_k (n_k / n) w_k

Flower's strategy sends μ along; the client adds μ(w - w_t) to the gradient of what it trains, in every step
(evaluation.federated.training). With μ = 0 it is FedAvg.
"""

from __future__ import annotations

from flwr.serverapp.strategy import FedProx

from evaluation.federated.config import FederatedConfig
from evaluation.federated.strategies.fedavg import arguments


def build(config: FederatedConfig) -> FedProx:
    """Flower's own."""
    return FedProx(**arguments(), proximal_mu=config.effective_options["proximal-mu"])
