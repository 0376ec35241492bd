"""What strategies add to a client's own descent, against the formulas, on numbers small enough to follow."""

from __future__ import annotations

import numpy
import torch
from torch.testing import assert_close

from evaluation.federated.local_terms import Correction, Pruning, TailDecay


def parameter(seed: int, *shape: int) -> torch.nn.Parameter:
    return torch.nn.Parameter(torch.randn(shape, generator=torch.Generator().manual_seed(seed)))


def test_the_tails_decay_is_the_gradient_of_the_product_of_their_norms() -> None:
    """A client of rank 3 keeps its first one; the fourth row and column of its matrices are not used."""
    pairs = [(parameter(1, 4, 5), parameter(2, 6, 4)), (parameter(3, 4, 2), parameter(4, 3, 4))]
    penalty = sum((a[1:3].norm() * b[:, 1:3].norm() for a, b in pairs), torch.zeros(()))
    term = TailDecay(pairs, Pruning(decay=0.34, weight=0.7), rank=3)
    assert_close(term.size(), float(penalty.detach()), rtol=1e-5, atol=1e-6)
    (0.7 * penalty).backward()
    expected = [(a.grad, b.grad) for a, b in pairs]
    for a, b in pairs:
        a.grad, b.grad = torch.ones_like(a), torch.ones_like(b)
    term.to_gradient()
    for (a, b), (of_a, of_b) in zip(pairs, expected, strict=True):
        assert of_a is not None and of_b is not None
        assert_close(a.grad, 1 + of_a)
        assert_close(b.grad, 1 + of_b)


def test_a_tail_that_is_zero_is_left_alone() -> None:
    a, b = parameter(1, 4, 5), torch.nn.Parameter(torch.zeros(6, 4))
    a.grad, b.grad = torch.zeros_like(a), torch.zeros_like(b)
    TailDecay([(a, b)], Pruning(0.5, 1.0), rank=4).to_gradient()
    assert not a.grad.any() and not b.grad.any()


def test_the_correction_is_taken_off_behind_a_step() -> None:
    weight = parameter(1, 2)
    before = weight.detach().clone()
    correction = Correction({"w": weight}, {"w": numpy.array([1.0, -2.0], numpy.float32)})
    correction.to_gradient()
    assert weight.grad is None
    correction.after_step(0.1)
    assert_close(weight.detach(), before - 0.1 * torch.tensor([1.0, -2.0]))
