"""Clipping and noise against their equations, and ε against the Gaussian mechanism's closed form."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy
import pytest
from numpy.testing import assert_allclose

from evaluation.federated import privacy
from evaluation.federated.config import FederatedConfig, Privacy
from evaluation.federated.factors import Arrays
from evaluation.federated.strategies.building import build

from .rounds_by_hand import A, B, one_round

START = {A: numpy.zeros((2, 3), dtype=numpy.float32), B: numpy.zeros((4, 2), dtype=numpy.float32)}


def update(length: float) -> Arrays:
    """A step of this norm from START, half of its square in either tensor."""
    return {name: numpy.full_like(array, length / math.sqrt(2 * array.size)) for name, array in START.items()}


def protected(config: FederatedConfig, **settings: Any) -> Any:
    return build(replace(config, privacy=Privacy(**settings)))


def test_updates_are_clipped_as_a_whole_and_weigh_the_same(config: FederatedConfig) -> None:
    strategy = protected(config, clipping_norm=2.0, noise_multiplier=0.0)
    after = one_round(strategy, START, [(update(1.0), 100), (update(10.0), 1)])
    for name, array in update((1.0 + 2.0) / 2).items():
        assert_allclose(after[name], array, rtol=1e-5)


@pytest.mark.parametrize("clipping", ["fixed", "adaptive"])
@pytest.mark.parametrize("answered", [2, 4])
def test_the_noise_is_that_of_the_clients_that_answered(
    clipping: str, answered: int, config: FederatedConfig
) -> None:
    wide = {A: numpy.zeros((200, 300), dtype=numpy.float32)}
    config = replace(config, clients=40, clients_per_round=4)
    strategy = protected(config, clipping=clipping, clipping_norm=0.5, noise_multiplier=0.1)
    after = one_round(strategy, wide, [({A: wide[A] + 1e-4}, 1)] * answered)
    noise = 0.1 if clipping == "fixed" else (0.1**-2 - (2 * 4 / 20) ** -2) ** -0.5
    assert_allclose((after[A] - 1e-4).std(), noise * 0.5 / answered, rtol=0.02)


def test_noise_comes_from_seed_and_round_and_leaves_other_randomness_alone(config: FederatedConfig) -> None:
    def noisy(seed: int, server_round: int) -> Arrays:
        strategy = protected(replace(config, seed=seed))
        return one_round(strategy, START, [(update(1.0), 1)] * 2, server_round)

    numpy.random.seed(3)
    first, drawn = noisy(1, 1), numpy.random.random()
    numpy.random.seed(3)
    assert numpy.random.random() == drawn
    assert (first[A] == noisy(1, 1)[A]).all()
    assert (first[A] != noisy(2, 1)[A]).all()
    assert (first[A] != noisy(1, 2)[A]).all()


@pytest.mark.parametrize("initial", [0.01, 100.0])
def test_the_adaptive_norm_finds_the_quantile_from_either_side(
    initial: float, config: FederatedConfig
) -> None:
    config = replace(config, clients=10, clients_per_round=10)
    strategy = protected(
        config, clipping="adaptive", clipping_norm=initial, noise_multiplier=0.0, target_quantile=0.7
    )
    updates = [(update(length), 1) for length in range(1, 11)]
    for server_round in range(1, 150):
        one_round(strategy, START, updates, server_round)
    assert 6.5 < strategy.clipping_norm < 8.5


def test_the_norm_that_clips_is_the_norm_of_the_noise(config: FederatedConfig) -> None:
    """Flower would scale the noise with the norm of the next round."""
    wide = {A: numpy.zeros((200, 300), dtype=numpy.float32)}
    config = replace(config, clients=100, clients_per_round=20)
    strategy = protected(
        config, clipping="adaptive", clipping_norm=1.0, noise_multiplier=0.5, quantile_rate=3.0
    )
    after = one_round(strategy, wide, [({A: wide[A] + 1e-6}, 1)] * 20)
    assert strategy.clipping_norm < 0.5  # none was clipped, half should be
    noise = (0.5**-2 - (2 * 1.0) ** -2) ** -0.5
    assert_allclose(after[A].std(), noise * 1.0 / 20, rtol=0.02)


def test_the_count_is_noisy_enough_for_small_cohorts(config: FederatedConfig) -> None:
    """Flower refuses a noise multiplier of a tenth of the clients or more."""
    strategy = protected(config, clipping="adaptive", noise_multiplier=1.0)
    assert strategy.clipped_count_stddev == 1.0
    assert strategy.noise_multiplier == pytest.approx(1 / math.sqrt(1 - 1 / 4))


def test_the_epsilon_of_full_participation_is_the_gaussian_mechanism_s(config: FederatedConfig) -> None:
    """RDP of order a: T a / (2 z²) (Mironov, arXiv 1702.07476); to ε by Balle et al. (arXiv 1905.09982)."""
    z, delta, rounds = 4.0, 1e-5, 10
    everyone = replace(config, clients_per_round=3, privacy=Privacy(noise_multiplier=z, delta=delta))

    def at(order: float) -> float:
        return rounds * order / (2 * z**2) + math.log1p(-1 / order) - math.log(delta * order) / (order - 1)

    closed_form = min(at(1 + step / 100) for step in range(10, 6000))
    assert privacy.epsilon(everyone, rounds) == pytest.approx(closed_form, rel=1e-2)


def test_epsilon_grows_with_rounds_and_shrinks_with_sampling(config: FederatedConfig) -> None:
    private = replace(config, privacy=Privacy(), clients=30)
    spent = [privacy.epsilon(private, rounds) or 0.0 for rounds in (1, 2, 50)]
    assert 0 < spent[0] < spent[1] < spent[2]
    fewer = privacy.epsilon(replace(private, clients=300), 50)
    assert fewer is not None and fewer < spent[2]


def test_no_epsilon_is_claimed_without_noise(config: FederatedConfig) -> None:
    assert privacy.epsilon(config, 5) is None
    assert privacy.epsilon(replace(config, privacy=Privacy(noise_multiplier=0.0)), 5) is None
