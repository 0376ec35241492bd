"""FedSA-LoRA: "Selective Aggregation for Low-Rank Adaptation in Federated Learning" (arXiv 2410.01463).

    A_{t+1} = Σ_k (n_k / n) A_k,   B_k stays with client k,   W_k = W + (alpha / rank) B_k A

Clients train both matrices and share A alone, which travels in either direction. There is no global adapter:
each client's loss is taken with its own B. The one that a run exports has the B of the client with the most
rows among those that took part (of equal ones the first), as the local-only reference has.
"""

from __future__ import annotations

from flwr.serverapp.strategy import FedAvg

from evaluation.federated.config import FederatedConfig
from evaluation.federated.strategies.fedavg import arguments


def build(_config: FederatedConfig) -> FedAvg:
    """On the server it is Flower's FedAvg of what travels."""
    return FedAvg(**arguments())
