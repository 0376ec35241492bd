"""Updates of a few adapters compared exactly, from their files, without a matrix of a weight's size.

⟨b₁a₁, b₂a₂⟩ is the sum of (b₁ᵀb₂) ∘ (a₁a₂ᵀ), so that products of the size of the ranks are enough. Factors
are read one module at a time.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy
from numpy.typing import NDArray

from evaluation.resemblance.factors import AdapterFactors, Factors, Values
from evaluation.resemblance.results import Comparison, Mixture

# Directions of a factor below this share of its strongest are rounding.
_NEGLIGIBLE = 1e-6


def compare(adapter: AdapterFactors, others: Sequence[AdapterFactors]) -> list[Comparison]:
    """The adapter beside each of the others. Raises CheckpointError."""
    sums = [_Sums() for _ in others]
    own = _Own()
    for module in adapter.modules:
        mine = adapter.read(module)
        if mine is None:
            continue
        own.add(mine)
        for total, other in zip(sums, others, strict=True):
            theirs = other.read(module)
            if theirs is not None:
                total.add(mine, theirs)
    known = set(adapter.modules)
    for total, other in zip(sums, others, strict=True):
        for module in other.modules:
            theirs = None if module in known else other.read(module)
            if theirs is not None:
                total.add_elsewhere(theirs)
    return [total.result(own) for total in sums]


@dataclass
class _Own:
    """What is summed up of the adapter itself."""

    squares: float = 0.0
    modules: int = 0
    rank: int = 0

    def add(self, factors: Factors) -> None:
        squares = factors.squared_norm
        self.squares += squares
        self.modules += squares > 0
        self.rank = max(self.rank, factors.rank)


@dataclass
class _Sums:
    """What is summed up of a pair."""

    product: float = 0.0
    squares: float = 0.0
    within: float = 0.0
    modules: int = 0
    rank: int = 0
    cosines: list[float] = field(default_factory=list)
    starts: list[tuple[float, float, float]] = field(default_factory=list)

    def add(self, mine: Factors, theirs: Factors) -> None:
        product = _inner(mine, theirs)
        own, its = mine.squared_norm, theirs.squared_norm
        self.product += product
        self._add_other(theirs, its)
        if own > 0 and its > 0:
            self.cosines.append(_bounded(product / math.sqrt(own * its)))
            self.within += min(own, _within(mine, theirs))
        if mine.rank == theirs.rank:
            self.starts.append((_dot(mine.a, theirs.a), _dot(mine.a, mine.a), _dot(theirs.a, theirs.a)))

    def add_elsewhere(self, theirs: Factors) -> None:
        self._add_other(theirs, theirs.squared_norm)

    def _add_other(self, theirs: Factors, squares: float) -> None:
        self.squares += squares
        self.modules += squares > 0
        self.rank = max(self.rank, theirs.rank)

    def result(self, own: _Own) -> Comparison:
        cosines = sorted(self.cosines)
        known = own.squares > 0 and self.squares > 0
        product, mine, theirs = (
            (sum(part) for part in zip(*self.starts, strict=True)) if self.starts else (0,) * 3
        )
        return Comparison(
            cosine=_bounded(self.product / math.sqrt(own.squares * self.squares)) if known else None,
            lowest=cosines[0] if cosines else None,
            median=float(numpy.median(cosines)) if cosines else None,
            highest=cosines[-1] if cosines else None,
            shared=len(cosines),
            modules=own.modules,
            other_modules=self.modules,
            ratio=math.sqrt(own.squares / self.squares) if known else None,
            rank=own.rank,
            other_rank=self.rank,
            within=_bounded(self.within / own.squares) if own.squares > 0 else None,
            start=_bounded(product / math.sqrt(mine * theirs)) if mine > 0 and theirs > 0 else None,
        )


def mixture(adapter: AdapterFactors, parts: Sequence[AdapterFactors], *, enough: float) -> Mixture | None:
    """The adapter's update by least squares on those of `parts`, over the modules that it changes.

    Where that explains less than `enough`, products of different parts' factors are let in as well. None for
    an update of zero. Raises CheckpointError.
    """
    pairs = [(i, j) for i in range(len(parts)) for j in range(len(parts))]
    plain = [n for n, (i, j) in enumerate(pairs) if i == j]
    gram = numpy.zeros((len(pairs), len(pairs)))
    with_own = numpy.zeros(len(pairs))
    squares = 0.0
    for module in adapter.modules:
        mine = adapter.read(module)
        if mine is None:
            continue
        squares += mine.squared_norm
        read = [part.read(module) for part in parts]
        products = {
            n: Factors(first.a, second.b)
            for n, (i, j) in enumerate(pairs)
            if (second := read[i]) is not None
            and (first := read[j]) is not None
            and first.rank == second.rank
        }
        for n, one in products.items():
            with_own[n] += _inner(one, mine)
            for m, other in products.items():
                if m >= n:
                    gram[n, m] += _inner(one, other)
    if squares <= 0:
        return None
    gram = gram + numpy.triu(gram, 1).T
    weights, explained = _fit(gram, with_own, squares, plain)
    if explained >= enough:
        return Mixture(tuple(weights), explained, averaged=False)
    all_weights, with_crosses = _fit(gram, with_own, squares, list(range(len(pairs))))
    if with_crosses >= enough:
        return Mixture(tuple(all_weights[n] for n in plain), with_crosses, averaged=True)
    return Mixture(tuple(weights), explained, averaged=False)


def _fit(
    gram: NDArray[numpy.float64], with_own: NDArray[numpy.float64], squares: float, chosen: list[int]
) -> tuple[list[float], float]:
    """Weights by least squares, and the share that they explain."""
    inverse = numpy.linalg.pinv(gram[numpy.ix_(chosen, chosen)], rcond=_NEGLIGIBLE, hermitian=True)
    weights = inverse @ with_own[chosen]
    return [float(weight) for weight in weights], _bounded(float(weights @ with_own[chosen]) / squares)


def _inner(one: Factors, other: Factors) -> float:
    return float(numpy.sum((one.b.T @ other.b) * (one.a @ other.a.T), dtype=numpy.float64))


def _within(mine: Factors, theirs: Factors) -> float:
    """The squared length of what of b·a lies in the column and row spaces of the other's."""
    columns = _projected(theirs.b, mine.b)
    rows = _projected(theirs.a.T, mine.a.T)
    return float(numpy.sum(columns * rows))


def _projected(onto: Values, factor: Values) -> NDArray[numpy.float64]:
    """(Pf)ᵀ(Pf) for the projection P onto the space that the columns of `onto` span."""
    gram = (onto.T @ onto).astype(numpy.float64)
    between = (onto.T @ factor).astype(numpy.float64)
    result: NDArray[numpy.float64] = (
        between.T @ numpy.linalg.pinv(gram, rcond=_NEGLIGIBLE, hermitian=True) @ between
    )
    return result


def _dot(one: Values, other: Values) -> float:
    return float(numpy.vdot(one, other))


def _bounded(value: float) -> float:
    """Without what rounding adds beyond ±1."""
    return max(-1.0, min(1.0, value))
