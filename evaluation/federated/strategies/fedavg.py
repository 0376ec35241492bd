"""FedAvg: "Communication-Efficient Learning of Deep Networks from Decentralized Data" (arXiv 1602.05629).

    w_{t+1} = Σ_k (n_k / n) w_k,  n = Σ_k n_k

over the clients k of the round, n_k their rows. With LoRA, w is all of A and B, with DoRA the magnitudes too.
"""

from __future__ import annotations

from typing import Any

from flwr.serverapp.strategy import FedAvg

from evaluation.federated.config import FederatedConfig
from evaluation.federated.exchange import ADAPTER, CONFIG, EXAMPLES


def arguments() -> dict[str, Any]:
    """What all of Flower's strategies are told: the cohort takes part as a whole, weighted by rows."""
    return {
        "fraction_train": 1.0,
        "fraction_evaluate": 0.0,
        "min_train_nodes": 1,
        "min_available_nodes": 1,
        "weighted_by_key": EXAMPLES,
        "arrayrecord_key": ADAPTER,
        "configrecord_key": CONFIG,
    }


def build(_config: FederatedConfig) -> FedAvg:
    """Flower's own."""
    return FedAvg(**arguments())
