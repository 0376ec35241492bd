"""FFA-LoRA: "Improving LoRA in Privacy-preserving Federated Learning" (arXiv 2403.12313).

    A_k = A_0 for all clients and rounds,   B_{t+1} = Σ_k (n_k / n) B_k

A stays frozen as the seed made it, so that the mean of the products is the product of the mean:
Σ p_k B_k A_0 = (Σ p_k B_k) A_0. Only B is trained and only B travels, in either direction: a client makes A_0
from the run's seed (evaluation.federated.adapter.first_values).
"""

from __future__ import annotations

from flwr.serverapp.strategy import FedAvg

from evaluation.federated.config import FederatedConfig
from evaluation.federated.strategies.fedavg import arguments


def build(_config: FederatedConfig) -> FedAvg:
    """On the server it is Flower's FedAvg of what travels."""
    return FedAvg(**arguments())
