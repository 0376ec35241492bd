"""Each strategy's update against its paper's equation, on matrices small enough to write down."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import numpy
import pytest
from numpy.testing import assert_allclose

from evaluation.errors import UnknownNameError
from evaluation.federated.config import FederatedConfig, Privacy
from evaluation.federated.factors import Arrays, Product, products
from evaluation.federated.strategies import cohort
from evaluation.federated.strategies.building import build
from evaluation.method.strategies import STRATEGIES, canonical, get, on_card

from .rounds_by_hand import MODULE, A, B, adapter, one_round

START = adapter(0)
UPDATES = [(adapter(1), 1), (adapter(2), 3), (adapter(3), 4)]
SHARES = [1 / 8, 3 / 8, 4 / 8]


def built(config: FederatedConfig, name: str, **options: float) -> object:
    pairs = tuple(sorted((key.replace("_", "-"), value) for key, value in options.items()))
    return build(replace(config, strategy=name, strategy_options=pairs))


def mean(name: str) -> numpy.ndarray:
    return numpy.average([arrays[name] for arrays, _ in UPDATES], axis=0, weights=SHARES)


def mean_product() -> numpy.ndarray:
    return sum(
        share * arrays[B].astype(float) @ arrays[A]
        for share, (arrays, _) in zip(SHARES, UPDATES, strict=True)
    )


def change(arrays: Arrays) -> numpy.ndarray:
    """B·A of the adapter, and of its residual where there is one."""
    own = products(arrays)[MODULE].dense()
    residual = products(arrays, "residual").get(MODULE)
    return own + residual.dense() if residual else own


@pytest.mark.parametrize("name", ["fedavg", "fedprox", "centralised"])
def test_means_are_weighted_by_rows(name: str, config: FederatedConfig) -> None:
    after = one_round(built(config, name), START, UPDATES)
    for tensor in (A, B):
        assert_allclose(after[tensor], mean(tensor), rtol=1e-5, atol=1e-6)


def test_fedavgm_follows_its_velocity(config: FederatedConfig) -> None:
    strategy = built(config, "fedavgm", server_learning_rate=0.5, server_momentum=0.9)
    once = one_round(strategy, START, UPDATES)
    first = START[A] - mean(A)
    assert_allclose(once[A], START[A] - 0.5 * first, rtol=1e-5, atol=1e-6)
    twice = one_round(strategy, once, UPDATES, 2)
    second = 0.9 * first + once[A] - mean(A)
    assert_allclose(twice[A], once[A] - 0.5 * second, rtol=1e-5, atol=1e-6)


def test_fedadam_and_fedyogi_step_by_their_moments(config: FederatedConfig) -> None:
    options = {"eta": 0.1, "beta_1": 0.8, "beta_2": 0.9, "tau": 0.01}
    delta = mean(B) - START[B]
    first, second = 0.2 * delta, 0.1 * delta**2
    step = first / (numpy.sqrt(second) + 0.01)
    corrected = 0.1 * numpy.sqrt(1 - 0.9**2) / (1 - 0.8**2)
    adam = one_round(built(config, "fedadam", **options), START, UPDATES)
    assert_allclose(adam[B], START[B] + corrected * step, rtol=1e-5, atol=1e-6)
    yogi = one_round(built(config, "fedyogi", **options), START, UPDATES)
    assert_allclose(yogi[B], START[B] + 0.1 * step, rtol=1e-5, atol=1e-6)


def test_the_median_and_the_trimmed_mean_ignore_one_wild_client(config: FederatedConfig) -> None:
    wild = [*UPDATES, ({A: START[A] + 1e6, B: START[B] - 1e6}, 9)]
    stacked = numpy.stack([arrays[A] for arrays, _ in wild])
    median = one_round(built(config, "fedmedian"), START, wild)
    assert_allclose(median[A], numpy.median(stacked, axis=0), rtol=1e-6)
    trimmed = one_round(built(config, "fedtrimmedavg", beta=0.25), START, wild)
    assert_allclose(trimmed[A], numpy.sort(stacked, axis=0)[1:-1].mean(axis=0), rtol=1e-6)
    assert abs(trimmed[B]).max() < 100


def test_krum_takes_the_client_that_is_nearest_to_the_others(config: FederatedConfig) -> None:
    near = [({A: START[A] + shift, B: START[B]}, 1) for shift in (0.0, 0.5, 0.9, 2.0)]
    far = [({A: START[A] + 50, B: START[B]}, 1)]
    after = one_round(built(config, "krum", num_malicious_nodes=1), START, near + far)
    assert_allclose(after[A], START[A] + numpy.float32(0.5), rtol=1e-6)


def test_flexlora_is_the_mean_product_cut_to_the_rank(config: FederatedConfig) -> None:
    after = one_round(built(config, "flexlora"), START, UPDATES)
    u, sigma, v = numpy.linalg.svd(mean_product())
    assert_allclose(change(after), (u[:, :2] * sigma[:2]) @ v[:2], rtol=1e-5, atol=1e-5 * sigma[0])
    assert_allclose(after[A] @ after[A].T, numpy.eye(2), atol=1e-6)  # the size is in B


def test_flexlora_mends_what_fedavg_of_the_factors_gets_wrong(config: FederatedConfig) -> None:
    """Two clients that mean the same matrix in factors of opposite sign."""
    same = adapter(5)
    updates = [(same, 1), ({A: -same[A], B: -same[B]}, 1)]
    assert abs(change(one_round(built(config, "fedavg"), START, updates))).max() < 1e-6
    after = one_round(built(config, "flexlora"), START, updates)
    assert_allclose(change(after), change(same), rtol=1e-5, atol=1e-5)


def test_flexlora_takes_clients_of_different_ranks(config: FederatedConfig) -> None:
    updates = [(adapter(1, rank=1), 1), (adapter(2, rank=3), 1)]
    after = one_round(built(config, "flexlora"), START, updates)
    assert after[B].shape == (5, 2)


def test_fedex_lora_is_the_mean_of_the_products(config: FederatedConfig) -> None:
    after = one_round(built(config, "fedex-lora"), START, UPDATES)
    assert_allclose(after[A], mean(A), rtol=1e-5, atol=1e-6)
    exact = mean_product()
    assert abs(change(after) - exact).max() <= 2 * numpy.finfo(numpy.float32).eps * abs(exact).max()


def test_fedex_lora_adds_what_each_round_lacks(config: FederatedConfig) -> None:
    strategy = built(config, "fedex-lora")
    once = one_round(strategy, START, UPDATES)
    carried = products(once, "residual")[MODULE].dense()
    twice = one_round(strategy, once, UPDATES, 2)
    assert_allclose(change(twice), carried + mean_product(), rtol=1e-5, atol=1e-5)


def test_a_residual_of_limited_rank_is_the_nearest_one(config: FederatedConfig) -> None:
    after = one_round(built(config, "fedex-lora", residual_rank=1), START, UPDATES)
    lacking = mean_product() - Product(mean(B), mean(A)).dense()
    u, sigma, v = numpy.linalg.svd(lacking)
    residual = products(after, "residual")[MODULE]
    assert residual.rank == 1
    assert_allclose(residual.dense(), sigma[0] * numpy.outer(u[:, 0], v[0]), rtol=1e-4, atol=1e-5)


def test_flora_adds_up_all_products(config: FederatedConfig) -> None:
    strategy = built(config, "flora")
    once = one_round(strategy, {}, UPDATES)
    assert_allclose(products(once, "residual")[MODULE].dense(), mean_product(), rtol=1e-5, atol=1e-5)
    twice = one_round(strategy, once, UPDATES, 2)
    assert_allclose(products(twice, "residual")[MODULE].dense(), 2 * mean_product(), rtol=1e-5, atol=1e-5)


def test_halves_are_averaged_and_the_others_stay(config: FederatedConfig) -> None:
    only_b = [({B: arrays[B]}, rows) for arrays, rows in UPDATES]
    after = one_round(built(config, "ffa-lora"), START, only_b)
    assert (after[A] == START[A]).all()
    exact = sum(
        share * arrays[B].astype(float) @ START[A] for share, (arrays, _) in zip(SHARES, UPDATES, strict=True)
    )
    assert_allclose(change(after), exact, rtol=1e-5, atol=1e-5)
    only_a = [({A: arrays[A]}, rows) for arrays, rows in UPDATES]
    after = one_round(built(config, "rolora"), START, only_a, 2)
    assert (after[B] == START[B]).all()
    assert_allclose(after[A], mean(A), rtol=1e-5, atol=1e-6)


def test_rolora_trains_b_first_and_then_in_turn() -> None:
    assert [STRATEGIES["rolora"].trained_in(number) for number in (1, 2, 3, 4)] == ["B", "A", "B", "A"]
    assert {STRATEGIES["ffa-lora"].trained_in(number) for number in (1, 2)} == {"B"}


def test_a_local_only_client_goes_on_from_its_own_adapter(config: FederatedConfig) -> None:
    strategy = built(config, "local-only")
    after = one_round(strategy, START, UPDATES)
    assert all((after[name] == UPDATES[0][0][name]).all() for name in (A, B))
    assert (strategy.state()["client-1"][A] == UPDATES[1][0][A]).all()  # type: ignore[attr-defined]


def test_references_choose_their_own_cohort(config: FederatedConfig) -> None:
    rows = {0: 3, 1: 9, 2: 4, 3: 9}
    assert cohort.choose(replace(config, strategy="local-only"), rows, 5) == [1, 3]
    assert cohort.choose(replace(config, strategy="centralised"), rows, 5) == [0]
    assert len(cohort.choose(config, rows, 5)) == config.clients_per_round


def test_flexlora_averages_what_dora_has_besides_the_product(config: FederatedConfig) -> None:
    magnitudes = [numpy.arange(5, dtype=numpy.float32) * factor for factor in (1, 2, 4)]
    name = f"{MODULE}.lora_magnitude_vector"
    updates = [(arrays | {name: own}, rows) for (arrays, rows), own in zip(UPDATES, magnitudes, strict=True)]
    after = one_round(built(config, "flexlora"), START | {name: magnitudes[0]}, updates)
    plain = one_round(built(config, "flexlora"), START, UPDATES)
    assert all((after[tensor] == plain[tensor]).all() for tensor in (A, B))
    assert_allclose(after[name], numpy.average(magnitudes, axis=0, weights=SHARES), rtol=1e-6)
    assert after[name].dtype == numpy.float32


@pytest.mark.parametrize("name", STRATEGIES)
def test_every_strategy_is_built_and_described(name: str, config: FederatedConfig) -> None:
    info = STRATEGIES[name]
    assert built(config, name) is not None
    assert info.summary.endswith(".")
    assert all(option.lowest <= option.default <= option.highest for option in info.options)
    assert "lora" in info.adapters
    assert info.adapters == (("lora", "dora") if not info.on_products or info.averages else ("lora",))
    if not info.no_privacy:
        private = replace(config, strategy=name, privacy=Privacy())
        assert "clipping" in repr(build(private)).lower()


def test_an_unknown_strategy_gets_a_suggestion() -> None:
    with pytest.raises(UnknownNameError, match="did you mean flexlora"):
        get("flex-lora")


def test_every_strategy_is_found_by_how_method_cards_spell_it() -> None:
    assert all(on_card(canonical(name)) is info for name, info in STRATEGIES.items())
    assert on_card("FedEx-LoRA") is STRATEGIES["fedex-lora"]
    assert on_card("q-FedAvg") is None


def test_the_table_is_light_to_import() -> None:
    code = (
        "import sys, evaluation.method.strategies as s; assert s.STRATEGIES; "
        "heavy = {'flwr', 'torch', 'numpy', 'peft'} & sys.modules.keys(); assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
