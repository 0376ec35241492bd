"""SCAFFOLD: "Stochastic Controlled Averaging for Federated Learning" (arXiv 1910.06378), with its option II.

    client:  y_k ← y_k - η (g_k(y_k) - c_k + c)  for K steps from x,    c_k⁺ = c_k - c + (x - y_k) / (K η)
    server:  x ← x + (η_g / |S|) Σ_{k ∈ S} (y_k - x),    c ← c + (1 / N) Σ_{k ∈ S} (c_k⁺ - c_k)

over the clients S of the round, of N in all, which weigh the same. η_g is `server-learning-rate`. The
paper's step is along the gradient g_k; ours is AdamW's, so that g_k stands for AdamW's direction: each of its
steps is followed by y_k ← y_k - η (c - c_k), and c_k⁺ is the mean of its directions, as it is of gradients in
the paper. c travels with x, and the change of c_k with y_k: twice the bytes of FedAvg. c_k stays with its
client.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy
from flwr.app import Array, ArrayRecord, ConfigRecord, Message
from flwr.serverapp import Grid

from evaluation.federated.config import FederatedConfig
from evaluation.federated.exchange import CONTROL
from evaluation.federated.factors import Arrays
from evaluation.federated.strategies.fedavg import arguments
from evaluation.federated.strategies.updates import Update, UpdateStrategy

_STATE = "control"


def correction(control: Arrays, own: Arrays) -> Arrays:
    """A client's c - c_k; c_k is zero until it first took part."""
    return {name: array - own.get(name, numpy.float32(0)) for name, array in control.items()}


def renewed(own: Arrays, control: Arrays, start: Arrays, trained: Arrays, path: float) -> Arrays:
    """A client's c_k⁺; `path` is K η."""
    return {
        name: own.get(name, numpy.float32(0)) - control[name] + (start[name] - array) / numpy.float32(path)
        for name, array in trained.items()
    }


class Scaffold(UpdateStrategy):
    """Sends c beside the adapter, and keeps it."""

    def __init__(self, rate: float, clients: int) -> None:
        super().__init__(**arguments())
        self._rate, self._clients_in_all = rate, clients
        self._control: Arrays = {}

    def configure_train(
        self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid
    ) -> Iterable[Message]:
        """As FedAvg, with c; it is zero before the first round."""
        messages = list(super().configure_train(server_round, arrays, config, grid))
        if not self._control:
            self._control = {name: numpy.zeros_like(array) for name, array in self.sent.items()}
        record = ArrayRecord({name: Array(array) for name, array in self._control.items()})
        for message in messages:
            message.content[CONTROL] = record
        return messages

    def following(self, updates: Sequence[Update]) -> Arrays:
        """The adapter of the next round."""
        after, share = {}, self._rate / len(updates)
        for name, array in self.sent.items():
            moved = sum(update.arrays[name].astype(numpy.float64) - array for update in updates)
            after[name] = (array + share * moved).astype(numpy.float32)
            changed = sum(update.control[name].astype(numpy.float64) for update in updates)
            self._control[name] = (self._control[name] + changed / self._clients_in_all).astype(numpy.float32)
        return after

    def state(self) -> dict[str, Arrays]:
        """c, once there is one."""
        return {_STATE: dict(self._control)} if self._control else {}

    def restore(self, state: dict[str, Arrays]) -> None:
        """Go on from a saved state."""
        self._control = dict(state.get(_STATE, {}))


def build(config: FederatedConfig) -> Scaffold:
    """With the run's server rate and number of clients."""
    return Scaffold(config.effective_options["server-learning-rate"], config.clients)
