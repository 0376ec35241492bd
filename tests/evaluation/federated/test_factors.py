"""Sums and decompositions of products B·A from their factors, against the dense matrices."""

from __future__ import annotations

import numpy
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from evaluation.federated.factors import (
    Product,
    arrays_of,
    best,
    chosen,
    compressed,
    products,
    total,
)


def product(seed: int, outputs: int, inputs: int, rank: int) -> Product:
    random = numpy.random.default_rng(seed)
    return Product(
        random.normal(size=(outputs, rank)).astype(numpy.float32),
        random.normal(size=(rank, inputs)).astype(numpy.float32),
    )


sides, ranks, seeds = st.integers(1, 12), st.integers(1, 5), st.integers(0, 1000)


@given(sides, sides, st.lists(ranks, min_size=1, max_size=4), seeds)
def test_a_total_is_the_weighted_sum_of_the_matrices(
    outputs: int, inputs: int, widths: list[int], seed: int
) -> None:
    terms = [product(seed + place, outputs, inputs, width) for place, width in enumerate(widths)]
    weights = [(place + 1) / 10 for place in range(len(terms))]
    dense = sum(weight * term.dense() for weight, term in zip(weights, terms, strict=True))
    assert_allclose(total(terms, weights).dense(), dense, atol=1e-12)


@given(sides, sides, st.integers(1, 15), st.integers(1, 6), seeds)
def test_the_best_product_is_the_dense_singular_value_decomposition_cut_off(
    outputs: int, inputs: int, width: int, rank: int, seed: int
) -> None:
    matrix = product(seed, outputs, inputs, width)
    cut = best(matrix, rank)
    assert (cut.b.shape, cut.a.shape) == ((outputs, rank), (rank, inputs))
    u, sigma, v = numpy.linalg.svd(matrix.dense(), full_matrices=False)
    dense = (u[:, :rank] * sigma[:rank]) @ v[:rank]
    assert_allclose(cut.dense(), dense, atol=1e-5 * max(1.0, sigma[0]))


@given(sides, sides, ranks, st.integers(1, 4), seeds)
def test_compression_finds_the_rank_and_changes_nothing(
    outputs: int, inputs: int, rank: int, copies: int, seed: int
) -> None:
    one = product(seed, outputs, inputs, rank)
    repeated = total([one] * copies)
    small = compressed(repeated)
    assert small.rank <= min(rank, outputs, inputs)
    assert_allclose(small.dense(), repeated.dense(), rtol=1e-5, atol=1e-5)


def test_compression_keeps_one_term_of_nothing_and_obeys_its_limit() -> None:
    assert compressed(Product(numpy.zeros((4, 3)), numpy.ones((3, 5)))).rank == 1
    assert compressed(product(0, 9, 9, 6), limit=2).rank == 2


def test_names_pair_up_and_back() -> None:
    arrays = {
        f"m.{pair}_{letter}.weight": numpy.ones((2, 2)) for pair in ("lora", "residual") for letter in "AB"
    } | {"m.lora_magnitude_vector": numpy.ones(2)}
    assert products(arrays).keys() == products(arrays, "residual").keys() == {"m"}
    assert arrays_of(products(arrays, "residual"), "residual").keys() == set(chosen(arrays, "residual"))


@pytest.mark.parametrize(
    ("what", "names"),
    [
        ("both", {"m.lora_A.weight", "m.lora_B.weight", "m.lora_magnitude_vector"}),
        ("A", {"m.lora_A.weight"}),
        ("B", {"m.lora_B.weight"}),
        ("residual", {"m.residual_A.weight"}),
    ],
)
def test_what_travels_is_chosen_by_name(what: str, names: set[str]) -> None:
    every = ["m.lora_A.weight", "m.lora_B.weight", "m.lora_magnitude_vector", "m.residual_A.weight"]
    assert set(chosen(every, what)) == names
    assert chosen(every, "both and residual") == every
