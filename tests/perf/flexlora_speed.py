"""FlexLoRA's decomposition from the clients' factors, against that of the dense mean of their products."""

from __future__ import annotations

import time
from collections.abc import Iterator

import numpy

from evaluation.federated.factors import Product, best, by_module, total
from tests.perf.measure import Comparison, median_seconds

SIDE, RANK, CLIENTS = 4096, 32, 10


def compare() -> Iterator[Comparison]:
    terms, weights = _clients(), [1 / CLIENTS] * CLIENTS
    seconds = median_seconds(lambda: _from_factors(terms, weights), 5)
    start = time.perf_counter()
    dense = _dense(terms, weights)
    peer_seconds = time.perf_counter() - start
    difference = numpy.linalg.norm(_from_factors(terms, weights).dense() - dense)
    yield Comparison(
        f"FlexLoRA of {CLIENTS} clients of rank {RANK}, {SIDE} × {SIDE}, from the factors",
        seconds,
        "SVD of the dense mean",
        peer_seconds,
        f"the results differ by {difference / numpy.linalg.norm(dense):.1e} of their norm",
    )


def _clients() -> list[Product]:
    """Adapters that differ by a tenth from a common one, as those of a round do that all start from it."""
    random = numpy.random.default_rng(0)

    def near(common: numpy.ndarray) -> numpy.ndarray:
        return (common + 0.1 * random.normal(size=common.shape)).astype(numpy.float32)

    b, a = random.normal(size=(SIDE, RANK)), random.normal(size=(RANK, SIDE))
    return [Product(near(b), near(a)) for _ in range(CLIENTS)]


def _from_factors(terms: list[Product], weights: list[float]) -> Product:
    return by_module(lambda module: best(total(module, weights), RANK), {"module": terms})["module"]


def _dense(terms: list[Product], weights: list[float]) -> numpy.ndarray:
    """The same in fp32 as FlexLoRA is written down: every product formed, their mean decomposed, cut off.

    By torch, whose dense decomposition took less than half of NumPy's time.
    """
    import torch

    pairs = [(torch.from_numpy(term.b), torch.from_numpy(term.a)) for term in terms]
    mean = sum(weight * (b @ a) for weight, (b, a) in zip(weights, pairs, strict=True))
    u, sigma, v = torch.linalg.svd(mean, full_matrices=False)
    return ((u[:, :RANK] * sigma[:RANK]) @ v[:RANK]).numpy()
