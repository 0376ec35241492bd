"""Aggregates that a few bad clients cannot move far.

FedMedian and FedTrimmedAvg: "Byzantine-Robust Distributed Learning" (arXiv 1803.01498), number by number

    w_{t+1} = median_k w_k        w_{t+1} = mean of w_k without the ⌊β m⌋ lowest and highest of m clients

Krum: "Machine Learning with Adversaries" (arXiv 1703.02757), with f clients that may be malicious

    w_{t+1} = w_i,  i = argmin_i Σ_{j → i} ‖w_i - w_j‖²   over the m - f - 2 nearest j

None of them weighs clients by their rows.
"""

from __future__ import annotations

from flwr.serverapp.strategy import FedAvg, FedMedian, FedTrimmedAvg, Krum

from evaluation.federated.config import FederatedConfig
from evaluation.federated.strategies.fedavg import arguments


def build(config: FederatedConfig) -> FedAvg:
    """Flower's own, the one that the run names."""
    chosen = config.effective_options
    if config.strategy == "fedmedian":
        return FedMedian(**arguments())
    if config.strategy == "fedtrimmedavg":
        return FedTrimmedAvg(**arguments(), beta=chosen["beta"])
    return Krum(**arguments(), num_malicious_nodes=int(chosen["num-malicious-nodes"]))
