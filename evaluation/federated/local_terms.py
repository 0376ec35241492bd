"""What strategies add to a client's own descent: FedProx's pull, HetLoRA's decay, SCAFFOLD's correction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch

from evaluation.federated.factors import Arrays


@dataclass(frozen=True)
class Pruning:
    """HetLoRA's self-pruning: ranks from `decay` × rank on are held small by `weight` and may be cut off."""

    decay: float
    weight: float

    def kept(self, rank: int) -> int:
        """What pruning makes of a rank, never less than 1."""
        return max(1, int(self.decay * rank))


class Term(Protocol):
    """A part of the client's objective or step."""

    def to_gradient(self) -> None:
        """Add to the gradients before they are clipped."""

    def after_step(self, rate: float) -> None:
        """Change the weights behind a step of this learning rate."""


class Proximal:
    """FedProx: the gradient μ(w - w_t) of (μ/2)‖w - w_t‖² over what is trained."""

    def __init__(self, parameters: Sequence[torch.nn.Parameter], mu: float) -> None:
        self._mu = mu
        self._origins = [(parameter, parameter.detach().clone()) for parameter in parameters]

    def to_gradient(self) -> None:
        for parameter, origin in self._origins:
            assert parameter.grad is not None
            parameter.grad.add_(parameter.detach() - origin, alpha=self._mu)

    def after_step(self, rate: float) -> None:
        """Nothing."""


class TailDecay:
    """HetLoRA: the gradient of λ Σ ‖B[:, s:]‖·‖A[s:]‖ over the modules, s the rank that pruning would keep.

    `pairs` are the parameters of A and B of each module, of which the first `rank` rows and columns are used.
    """

    def __init__(
        self,
        pairs: Sequence[tuple[torch.nn.Parameter, torch.nn.Parameter]],
        pruning: Pruning,
        rank: int,
    ) -> None:
        self._pairs, self._weight = pairs, pruning.weight
        self._tail = slice(pruning.kept(rank), rank)

    def size(self) -> float:
        """Σ ‖B[:, s:]‖·‖A[s:]‖ as the parameters are."""
        with torch.no_grad():
            return sum(float(a[self._tail].norm() * b[:, self._tail].norm()) for a, b in self._pairs)

    def to_gradient(self) -> None:
        with torch.no_grad():
            for a, b in self._pairs:
                tail_a, tail_b = a[self._tail], b[:, self._tail]
                norm_a, norm_b = tail_a.norm(), tail_b.norm()
                if a.grad is not None and norm_a > 0:
                    a.grad[self._tail].add_(tail_a * (self._weight * norm_b / norm_a))
                if b.grad is not None and norm_b > 0:
                    b.grad[:, self._tail].add_(tail_b * (self._weight * norm_a / norm_b))

    def after_step(self, rate: float) -> None:
        """Nothing."""


class Correction:
    """SCAFFOLD: behind each step w ← w - η (c - c_k), on the tensors that `correction` names."""

    def __init__(self, tensors: Mapping[str, torch.Tensor], correction: Arrays) -> None:
        self._moved = [
            (tensors[name], torch.from_numpy(array).to(tensors[name].device))
            for name, array in correction.items()
        ]

    def to_gradient(self) -> None:
        """Nothing."""

    def after_step(self, rate: float) -> None:
        with torch.no_grad():
            for tensor, correction in self._moved:
                tensor.add_(correction, alpha=-rate)
