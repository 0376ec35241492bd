"""The centralised reference: one client holds all rows that are not held out.

It takes `local_steps` × `clients_per_round` steps a round, as many as the round's clients take together, and
starts its optimiser afresh each round as they do, so that what it differs in is the federation alone. It has
no one to communicate with: what our messages carry between rounds is not counted.
"""

from __future__ import annotations

from flwr.serverapp.strategy import FedAvg

from evaluation.federated.config import FederatedConfig
from evaluation.federated.strategies.fedavg import arguments


def build(_config: FederatedConfig) -> FedAvg:
    """The mean of one client."""
    return FedAvg(**arguments())
