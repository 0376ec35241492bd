"""RoLoRA: "Robust Federated Finetuning of Foundation Models via Alternating Minimization" (arXiv 2409.02346).

    odd t:   B_{t+1} = Σ_k (n_k / n) B_k,   A_{t+1} = A_t
    even t:  A_{t+1} = Σ_k (n_k / n) A_k,   B_{t+1} = B_t

One matrix is frozen while the other is trained, so that each round's mean is exact. B comes first, as A has
no gradient while B is zero. Clients send the half that they trained; they are sent both, as a client may not
have been there when the other half changed.
"""

from __future__ import annotations

from flwr.serverapp.strategy import FedAvg

from evaluation.federated.config import FederatedConfig
from evaluation.federated.strategies.fedavg import arguments


def build(_config: FederatedConfig) -> FedAvg:
    """On the server it is Flower's FedAvg of what comes back."""
    return FedAvg(**arguments())
