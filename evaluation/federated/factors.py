"""Adapters as arrays by name, and the algebra of products B·A that never forms the product.

The names are those of `adapter_model.safetensors`. A residual is a second pair of factors of the same module,
`residual_A` and `residual_B`, that counts with the adapter's own scale: the module's weight changes by
alpha / rank × (B·A + residual_B·residual_A).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

import numpy

Matrix = numpy.ndarray[Any, numpy.dtype[Any]]
Arrays = dict[str, Matrix]
Pair = Literal["lora", "residual"]
T = TypeVar("T")

# Singular values below this share of the largest are what rounding to fp32 leaves.
_NEGLIGIBLE = float(numpy.finfo(numpy.float32).eps)


@dataclass(frozen=True)
class Product:
    """The matrix b·a of shape (outputs, inputs), kept as b (outputs, k) and a (k, inputs)."""

    b: Matrix
    a: Matrix

    @property
    def rank(self) -> int:
        """The number of its terms, which is the highest rank it can have."""
        return int(self.b.shape[1])

    def dense(self) -> Matrix:
        """The matrix itself, in float64; for tests, as it may be large."""
        return numpy.asarray(self.b, numpy.float64) @ numpy.asarray(self.a, numpy.float64)


def products(arrays: Arrays, pair: Pair = "lora") -> dict[str, Product]:
    """Each module's product of this pair, by the module's name."""
    suffix = f".{pair}_A.weight"
    return {
        name.removesuffix(suffix): Product(arrays[f"{name.removesuffix(suffix)}.{pair}_B.weight"], array)
        for name, array in arrays.items()
        if name.endswith(suffix)
    }


def arrays_of(modules: dict[str, Product], pair: Pair = "lora") -> Arrays:
    """The inverse of `products`."""
    return {
        f"{module}.{pair}_{letter}.weight": array
        for module, product in modules.items()
        for letter, array in (("A", product.a), ("B", product.b))
    }


def by_module(function: Callable[[T], Product], modules: Mapping[str, T]) -> dict[str, Product]:
    """`function` of each module, several modules at a time with one thread each.

    A module's matrices are too small for several threads, which wait for each other at every step, on a busy
    machine for seconds; and so the last bit does not depend on how many there are.
    """
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with ThreadPoolExecutor(threads) as pool:
            return dict(zip(modules, pool.map(function, modules.values()), strict=True))
    finally:
        torch.set_num_threads(threads)


def is_residual(name: str) -> bool:
    """Whether a tensor is a factor of a residual."""
    return name.endswith((".residual_A.weight", ".residual_B.weight"))


def chosen(names: Iterable[str], what: str) -> list[str]:
    """The names that `what` means: `both` (all of the adapter), `A`, `B`, `residual`, `both and residual`."""
    if what in ("A", "B"):
        return [name for name in names if name.endswith(f".lora_{what}.weight")]
    wanted = {"both": (False,), "residual": (True,), "both and residual": (False, True)}[what]
    return [name for name in names if is_residual(name) in wanted]


def cut(arrays: Arrays, rank: int) -> Arrays:
    """The arrays of an adapter with the first `rank` rows of each A and columns of each B."""
    return {name: array[_leading(name, rank)] for name, array in arrays.items()}


def filled_up(arrays: Arrays, shapes: Mapping[str, tuple[int, ...]]) -> Arrays:
    """The inverse of `cut` for adapters of these shapes, with zeros: it has the same products."""
    whole = {}
    for name, array in arrays.items():
        whole[name] = array
        if array.shape != shapes[name]:
            whole[name] = numpy.zeros(shapes[name], array.dtype)
            whole[name][tuple(slice(0, side) for side in array.shape)] = array
    return whole


def rank_in(arrays: Arrays) -> int | None:
    """The rank of an adapter, told from the first matrix of it; None where there is none."""
    for name, array in arrays.items():
        if name.endswith(".lora_A.weight"):
            return int(array.shape[0])
        if name.endswith(".lora_B.weight"):
            return int(array.shape[1])
    return None


def _leading(name: str, rank: int) -> tuple[slice, ...]:
    if name.endswith((".lora_A.weight", ".lora_embedding_A")):
        return (slice(0, rank),)
    if name.endswith((".lora_B.weight", ".lora_embedding_B")):
        return (slice(None), slice(0, rank))
    return (slice(None),)


def total(terms: Sequence[Product], weights: Sequence[float] | None = None) -> Product:
    """Σ_k weight_k · b_k·a_k, exactly: the factors side by side. Ranks may differ; weights default to 1."""
    factors = [1.0] * len(terms) if weights is None else weights
    stacked = [
        numpy.asarray(term.b, numpy.float64) * factor for term, factor in zip(terms, factors, strict=True)
    ]
    return Product(numpy.hstack(stacked), numpy.vstack([term.a for term in terms]))


def best(product: Product, rank: int) -> Product:
    """The nearest product of exactly `rank` terms (Eckart and Young): b = U·Σ, a = Vᵀ, in fp32.

    Terms beyond the smaller side of the matrix are zero.
    """
    kept = _decomposed(product, rank)
    missing = rank - kept.rank
    if not missing:
        return kept
    return Product(numpy.pad(kept.b, ((0, 0), (0, missing))), numpy.pad(kept.a, ((0, missing), (0, 0))))


def compressed(product: Product, limit: int = 0) -> Product:
    """The same product in as few terms as fp32 tells apart, and in at most `limit` unless that is 0."""
    return _decomposed(product, limit or None, negligible=_NEGLIGIBLE)


def _decomposed(product: Product, rank: int | None, negligible: float = 0.0) -> Product:
    """The leading singular terms, from QR of either factor and an SVD of the small core between them.

    b·a = Q_b·(R_b·R_aᵀ)·Q_aᵀ, of which the core in the middle has k × k entries at most: the work grows with
    (outputs + inputs)·k², where that of the dense matrix grows with the third power of its side.
    """
    import torch  # seconds that those who only name tensors should not spend

    # Copies, as torch aligns its own memory: what LAPACK computes can depend on it in the last bit.
    q_b, r_b = torch.linalg.qr(torch.tensor(product.b, dtype=torch.float64))
    q_a, r_a = torch.linalg.qr(torch.tensor(product.a.T, dtype=torch.float64))
    u, sigma, v = torch.linalg.svd(r_b @ r_a.T, full_matrices=False)
    if negligible and sigma.numel():
        # One term stays of a product that is zero, so that no tensor is ever empty.
        rank = min(rank or sigma.numel(), max(1, int((sigma > negligible * sigma[0]).sum())))
    b, a = q_b @ (u[:, :rank] * sigma[:rank]), v[:rank] @ q_a.T
    return Product(b.float().numpy(), a.float().contiguous().numpy())
