"""Strategies for clients that differ, against their papers' equations, and rounds in which clients differ."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from peft import PeftModel
from transformers import AutoModelForCausalLM

from evaluation.federated import at_home, data, partitioning, robustness, training
from evaluation.federated.adapter import GlobalAdapter
from evaluation.federated.checks import findings
from evaluation.federated.config import FederatedConfig
from evaluation.federated.devices import REVERSAL, Devices
from evaluation.federated.factors import Arrays, chosen, cut, products
from evaluation.federated.local_model import local_model
from evaluation.federated.local_terms import Pruning
from evaluation.federated.strategies import scaffold
from evaluation.federated.strategies.building import build

from .loopback import LoopbackGrid
from .rounds_by_hand import MODULE, A, B, adapter, one_round
from .test_rounds import equal, ran, sizes, start

START = adapter(0)
UPDATES = [(adapter(1), 1), (adapter(2), 3), (adapter(3), 4)]
SHARES = [1 / 8, 3 / 8, 4 / 8]


def built(config: FederatedConfig, name: str, **options: float) -> object:
    pairs = tuple(sorted((key.replace("_", "-"), value) for key, value in options.items()))
    return build(replace(config, strategy=name, strategy_options=pairs))


def product(arrays: Arrays) -> numpy.ndarray:
    return products(arrays)[MODULE].dense()


# --- The papers' equations ---


def test_fednova_takes_each_change_a_step_times_the_mean_steps(config: FederatedConfig) -> None:
    steps = [1, 2, 10]
    after = one_round(built(config, "fednova"), START, UPDATES, steps=steps)
    effective = 1 / 8 * 1 + 3 / 8 * 2 + 4 / 8 * 10
    for name in (A, B):
        changes = [
            (arrays[name] - START[name]) / taken for (arrays, _), taken in zip(UPDATES, steps, strict=True)
        ]
        mean = numpy.average(changes, axis=0, weights=SHARES)
        assert_allclose(after[name], START[name] + effective * mean, rtol=1e-5, atol=1e-6)


def test_fednova_is_fedavg_where_all_take_as_many_steps(config: FederatedConfig) -> None:
    alike = one_round(built(config, "fednova"), START, UPDATES, steps=[7, 7, 7])
    mean = one_round(built(config, "fedavg"), START, UPDATES)
    assert_allclose(alike[A], mean[A], rtol=1e-5, atol=1e-6)


def test_scaffold_moves_by_the_plain_mean_and_its_control_by_the_share_of_all_clients(
    config: FederatedConfig,
) -> None:
    strategy = built(replace(config, clients=6), "scaffold", server_learning_rate=0.5)
    controls = [adapter(seed) for seed in (4, 5, 6)]
    after = one_round(strategy, START, UPDATES, controls=controls)
    plain = numpy.mean([arrays[A] for arrays, _ in UPDATES], axis=0)
    assert_allclose(after[A], START[A] + 0.5 * (plain - START[A]), rtol=1e-5, atol=1e-6)
    expected = sum(own[B].astype(float) for own in controls) / 6
    assert_allclose(strategy.state()["control"][B], expected, rtol=1e-5)  # type: ignore[attr-defined]


def test_scaffold_s_client_learns_its_mean_direction_and_steps_by_the_difference() -> None:
    """One number, direction d in each of K steps: y = x - K η (d + c - c_k), from which c_k⁺ = d."""
    x, c, own, direction, rate, steps = 2.0, 0.5, 0.25, 3.0, 0.1, 4
    arrays = {
        name: {"w": numpy.array([value], numpy.float32)} for name, value in {"x": x, "c": c, "k": own}.items()
    }
    moved = scaffold.correction(arrays["c"], arrays["k"])["w"]
    assert_allclose(moved, [c - own])
    y = {"w": numpy.array([x - steps * rate * (direction + c - own)], numpy.float32)}
    after = scaffold.renewed(arrays["k"], arrays["c"], arrays["x"], y, rate * steps)
    assert_allclose(after["w"], [direction], rtol=1e-6)


def test_lora_fair_refines_b_to_the_minimum_of_its_objective(config: FederatedConfig) -> None:
    weight = 0.3
    after = one_round(built(config, "lora-fair", refinement=weight), START, UPDATES)
    mean_a = numpy.average([arrays[A] for arrays, _ in UPDATES], axis=0, weights=SHARES)
    mean_b = numpy.average([arrays[B] for arrays, _ in UPDATES], axis=0, weights=SHARES)
    wanted = sum(share * product(arrays) for share, (arrays, _) in zip(SHARES, UPDATES, strict=True))
    assert_allclose(after[A], mean_a, rtol=1e-5, atol=1e-6)

    def objective(refined: numpy.ndarray) -> float:
        return ((wanted - refined @ mean_a) ** 2).sum() + weight * ((refined - mean_b) ** 2).sum()

    found = after[B].astype(float)
    gradient = -2 * (wanted - found @ mean_a) @ mean_a.T + 2 * weight * (found - mean_b)
    assert_allclose(gradient, 0, atol=1e-4)
    assert objective(found) < objective(mean_b)


def test_lora_fair_is_the_mean_for_a_single_client(config: FederatedConfig) -> None:
    after = one_round(built(config, "lora-fair"), START, [(adapter(1), 3)])
    assert_allclose(after[B], adapter(1)[B], rtol=1e-5, atol=1e-6)


def test_hetlora_weighs_clients_by_the_size_of_their_products(config: FederatedConfig) -> None:
    ranked = replace(config, rank=3, devices=Devices(ranks=(1, 3)))
    small, large = adapter(1, rank=1), adapter(2, rank=3)
    after = one_round(built(ranked, "hetlora"), adapter(0, rank=3), [(small, 9), (large, 1)])
    weights = numpy.array([numpy.linalg.norm(product(small)), numpy.linalg.norm(product(large))])
    first, second = weights / weights.sum()
    expected = second * large[A].astype(float)
    expected[:1] += first * small[A]
    assert_allclose(after[A], expected, rtol=1e-5, atol=1e-6)
    columns = second * large[B].astype(float)
    columns[:, :1] += first * small[B]
    assert_allclose(after[B], columns, rtol=1e-5, atol=1e-6)


def test_hetlora_keeps_what_no_client_of_the_round_has_the_rank_for(config: FederatedConfig) -> None:
    ranked = replace(config, rank=3, devices=Devices(ranks=(1, 2, 3)))
    before = adapter(0, rank=3)
    after = one_round(built(ranked, "hetlora"), before, [(adapter(1, rank=1), 1), (adapter(2, rank=2), 1)])
    assert_array_equal(after[A][2:], before[A][2:])
    assert_array_equal(after[B][:, 2:], before[B][:, 2:])


def test_hetlora_remembers_the_rank_that_a_client_pruned_itself_to(config: FederatedConfig) -> None:
    ranked = replace(config, rank=4, strategy="hetlora", devices=Devices(ranks=(4, 2)))
    strategy = build(ranked)
    one_round(strategy, adapter(0, rank=4), [(adapter(1, rank=3), 1), (adapter(2, rank=2), 1)])
    again = build(ranked)
    again.restore(strategy.state())
    assert [again.rank_of(client) for client in (0, 1)] == [3, 2]


def test_a_client_prunes_its_rank_where_its_tail_shrank(config: FederatedConfig) -> None:
    """The gradient of λ‖B‖‖A‖ beyond γ r: with a large λ the tail shrinks, and the client cuts it off."""
    config = replace(config, strategy="hetlora", rank=4, local_steps=4)
    arrays = {name: array + numpy.float32(0.1) for name, array in GlobalAdapter(config).arrays().items()}
    pruned = training.train(config, 0, training.Work(1, 0.01, pruning=Pruning(0.5, 100.0)), arrays).arrays
    assert {array.shape[0] for name, array in pruned.items() if name.endswith("lora_A.weight")} == {2}
    kept = training.train(config, 0, training.Work(1, 0.01, pruning=Pruning(1.0, 100.0)), arrays).arrays
    assert equal(kept, training.train(config, 0, training.Work(1, 0.01), arrays).arrays)


def test_a_run_prunes_by_its_options(config: FederatedConfig) -> None:
    options = {"prune-decay": 0.5, "prune-weight": 100.0}
    config = replace(config, strategy="hetlora", rank=4, rounds=3, local_steps=4, clients_per_round=3)
    pruned = ran(replace(config, strategy_options=tuple(options.items())))
    assert {int(rank) for rank in pruned.strategy["ranks"].values()} <= {1, 2}
    assert pruned.records[2].bytes_down < pruned.records[0].bytes_down
    kept = ran(replace(config, strategy_options=tuple((options | {"prune-decay": 1.0}).items())))
    assert kept.strategy == {}


# --- Ranks ---


def test_training_at_a_smaller_rank_is_training_of_that_rank_alone(config: FederatedConfig) -> None:
    """Zeros beside an adapter get no gradient: what a small client learns does not depend on the large ones.

    The scale of the products is the server's, alpha / rank, hence another alpha for the one that is alone.
    """
    large = replace(config, rank=4, alpha=8)
    arrays = cut(GlobalAdapter(large).arrays(), 2)
    beside = training.train(large, 0, training.Work(1, 0.01, rank=2), arrays).arrays
    alone = training.train(replace(config, rank=2, alpha=4), 0, training.Work(1, 0.01), arrays).arrays
    assert beside.keys() == alone.keys()
    for name, array in beside.items():
        assert_allclose(array, alone[name], rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("name", ["hetlora", "flexlora", "flora"])
def test_each_client_sends_its_own_rank_and_one_adapter_comes_of_it(
    name: str, config: FederatedConfig, tmp_path: Path
) -> None:
    options = (("prune-decay", 1.0),) if name == "hetlora" else ()
    config = replace(
        config, strategy=name, strategy_options=options, rank=4, clients_per_round=3, rounds=2,
        devices=Devices(ranks=(1, 2, 4)),
    )  # fmt: skip
    last, of_rank_one = ran(config), sum(sizes(replace(config, rank=1)).values())
    assert [record.bytes_up for record in last.records] == [(1 + 2 + 4) * of_rank_one] * 2
    if name != "flora":
        assert [record.bytes_down for record in last.records] == [(1 + 2 + 4) * of_rank_one] * 2
    GlobalAdapter(config).save(last.adapter, tmp_path)
    rank = json.loads((tmp_path / "adapter_config.json").read_text())["r"]
    assert rank == (2 * (1 + 2 + 4) if name == "flora" else 4)
    loaded = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(config.model), tmp_path)
    local = local_model(config)
    local.put(last.adapter, str(config.seed))
    ids = torch.tensor([[4, 5, 6, 7]])
    torch.testing.assert_close(
        loaded(input_ids=ids).logits, local.model(input_ids=ids).logits, rtol=1e-5, atol=1e-6
    )


@pytest.mark.parametrize("name", ["hetlora", "flexlora", "flora"])
def test_clients_that_all_have_the_servers_rank_are_as_without_ranks(
    name: str, config: FederatedConfig
) -> None:
    plain = replace(config, strategy=name, rank=3)
    assert equal(ran(replace(plain, devices=Devices(ranks=(3,)))).adapter, ran(plain).adapter)


def test_a_strategy_without_ranks_refuses_them(config: FederatedConfig) -> None:
    found = findings(replace(config, devices=Devices(ranks=(1, 2))))
    assert [(one.code, one.location) for one in found if one.location.startswith("devices")] == [
        ("run.value", "devices.ranks")
    ]


# --- What stays at home ---


def test_fedsa_clients_share_a_and_keep_b(config: FederatedConfig) -> None:
    config = replace(config, strategy="fedsa-lora", rounds=2, clients_per_round=3)
    grid = LoopbackGrid(3)
    last, size = ran(config, grid), sizes(config)
    assert {(record.bytes_down, record.bytes_up) for record in last.records} == {
        (3 * size["A"], 3 * size["A"])
    }
    replies = [reply.content for reply in grid.replies[:3]]
    assert all(chosen(reply["arrays"], "A") == list(reply["arrays"]) for reply in replies)
    own = [at_home.of_group(last.homes[client], at_home.OWN) for client in range(3)]
    assert all(chosen(home, "B") == list(home) for home in own)
    assert not equal(own[0], own[1])
    assert all((last.adapter[name] == own[0][name]).all() for name in own[0])  # client 0 has the most rows


def test_fedsa_clients_go_on_from_their_own_b(config: FederatedConfig) -> None:
    config = replace(config, strategy="fedsa-lora", rounds=2, clients=1, clients_per_round=1)
    last = ran(config, LoopbackGrid(1))
    alone = start(config).adapter
    for number in (1, 2):
        work = training.Work(number, config.learning_rate_in(number))
        alone = training.train(config, 0, work, alone).arrays
    assert equal(last.adapter, alone)


def test_scaffold_counts_its_control_variates_and_not_what_stays(config: FederatedConfig) -> None:
    config = replace(config, strategy="scaffold", rounds=2)
    last, one = ran(config), sum(sizes(config).values())
    assert {(record.bytes_down, record.bytes_up) for record in last.records} == {(2 * 2 * one, 2 * 2 * one)}
    kept = [at_home.of_group(home, at_home.CONTROL) for home in last.homes.values()]
    assert kept and all(home.keys() == last.adapter.keys() for home in kept)


def test_scaffold_s_control_is_the_mean_direction_of_its_clients(config: FederatedConfig) -> None:
    config = replace(config, strategy="scaffold", rounds=1, clients_per_round=3)
    first, last = start(config).adapter, ran(config)
    path = config.learning_rate_in(1) * config.local_steps
    for name, array in last.strategy["control"].items():
        assert_allclose(array, (first[name] - last.adapter[name]) / path, rtol=1e-3, atol=1e-4)


# --- Absent, slow and busy clients ---


def test_steps_speeds_and_deadline_leave_out_the_slow(config: FederatedConfig) -> None:
    devices = Devices(steps=(1, 2, 4), speeds=(1.0, 0.5, 0.25), deadline=5.0)
    grid = LoopbackGrid(3)
    (record,) = ran(replace(config, rounds=1, clients_per_round=3, devices=devices), grid).records
    assert record.clients == (0, 1)
    ((late, reason),) = [(failure.client, failure.reason) for failure in record.failures]
    assert late == 2 and "16 steps' time, the deadline is 5" in reason
    assert record.simulated_time == 5.0
    assert (record.messages_down, record.messages_up) == (3, 2)
    steps = {reply.content["metrics"]["local-steps"] for reply in grid.replies}
    assert steps == {1, 2}


def test_without_a_deadline_the_round_waits_for_the_slowest(config: FederatedConfig) -> None:
    devices = Devices(speeds=(1.0, 0.5, 0.25))
    (record,) = ran(replace(config, rounds=1, clients_per_round=3, devices=devices)).records
    assert (record.clients, record.simulated_time) == ((0, 1, 2), config.local_steps / 0.25)


def test_drop_out_is_decided_by_the_seed_and_an_empty_round_changes_nothing(config: FederatedConfig) -> None:
    config = replace(config, rounds=6, devices=Devices(drop_out=0.6))
    one, other = ran(config), ran(config, LoopbackGrid(3, seed=5))
    assert equal(one.adapter, other.adapter)
    gone = sum(len(record.failures) for record in one.records)
    assert 0 < gone < 12
    empty = [record for record in one.records if not record.clients]
    assert all(record.train_loss is None and record.bytes_down > 0 == record.bytes_up for record in empty)
    nobody = replace(config, rounds=1, seed=_empty_seed(config), devices=Devices(drop_out=0.9))
    last = ran(nobody)
    assert last.records[0].clients == ()
    assert equal(last.adapter, start(nobody).adapter)


def _empty_seed(config: FederatedConfig) -> int:
    """A seed with which everybody drops out of the first round."""
    return next(seed for seed in range(100) if _is_empty(Devices(drop_out=0.9), seed, 1))


def _is_empty(devices: Devices, seed: int, number: int) -> bool:
    """Whether all of three clients drop out of a round."""
    return all(devices.why_absent(client, 1, seed, number) for client in range(3))


@pytest.mark.parametrize("name", ["scaffold", "hetlora", "fedsa-lora", "fedavgm"])
def test_a_strategy_that_keeps_something_begins_with_the_first_round_that_has_clients(
    name: str, config: FederatedConfig
) -> None:
    devices = Devices(drop_out=0.5)
    seed = next(
        seed for seed in range(500) if _is_empty(devices, seed, 1) and not _is_empty(devices, seed, 2)
    )
    late = replace(config, strategy=name, seed=seed, rounds=2, clients_per_round=3, devices=devices)
    last = ran(late)
    assert last.records[0].clients == () != last.records[1].clients
    assert not equal(last.adapter, start(late).adapter)


def test_poisoned_clients_send_their_change_reversed_and_robust_strategies_bear_it(
    config: FederatedConfig,
) -> None:
    config = replace(config, clients_per_round=3, rounds=1)
    honest, first = LoopbackGrid(3), start(config).adapter
    plain = ran(config, honest).adapter
    poisoned = replace(config, devices=Devices(poisoned=1))
    (bad,) = poisoned.devices.are_poisoned(3, config.seed)
    grid = LoopbackGrid(3)
    ran(poisoned, grid)
    sent = {reply.metadata.src_node_id: reply.content["arrays"] for reply in honest.replies}
    for reply in grid.replies:
        client = next(number for number, node in grid.nodes.items() if node == reply.metadata.src_node_id)
        own = sent[honest.nodes[client]]
        for name, array in reply.content["arrays"].items():
            change = own[name].numpy() - first[name]
            expected = first[name] + (-REVERSAL * change if client == bad else change)
            assert_allclose(array.numpy(), expected, rtol=1e-4, atol=1e-6)

    def moved(strategy: str) -> float:
        after = ran(replace(poisoned, strategy=strategy)).adapter
        return float(numpy.sqrt(sum(((after[name] - plain[name]) ** 2).sum() for name in plain)))

    assert moved("fedmedian") < 0.5 * moved("fedavg")


def test_the_report_says_what_each_disturbance_costs(config: FederatedConfig) -> None:
    runs = robustness.disturbed(replace(config, clients=8))
    assert [(own.devices.drop_out, own.devices.poisoned) for own in runs.values()] == [
        (0, 0),
        (0.25, 0),
        (0, 2),
    ]

    def of(loss: float) -> dict:
        return {"rounds": [{"held_out_loss": loss, "train_loss": 9.0, "client_losses": [{"loss": 2 * loss}]}]}

    lines = robustness.table({"krum": {"undisturbed": of(1.0), "drop-out": of(1.5), "poisoned": of(0.75)}})
    assert lines[1].split() == [
        "krum",
        "1.0000",
        "1.5000",
        "+0.5000",
        "0.7500",
        "-0.2500",
        "2.0000",
        "3.0000",
        "1.5000",
    ]
    lines = robustness.table({"fedavg": {"undisturbed": of(1.0), "drop-out": of(1.5), "poisoned": None}})
    assert lines[1].split() == ["fedavg", "1.0000", "1.5000", "+0.5000", "failed", "2.0000", "3.0000"]


# --- Each client's own loss ---


def test_own_held_out_rows_are_kept_from_their_client_and_measured_by_it(config: FederatedConfig) -> None:
    config = replace(config, own_held_out=1, evaluate_every=2, rounds=2)
    division = partitioning.split(config, data.read(config.train_data))
    assert [len(part) for part in division.own_held_out] == [1, 1, 1]
    rows = [row for part in (*division.clients, *division.own_held_out) for row in part]
    assert sorted(rows) == list(range(10))
    last = ran(config)
    assert last.records[0].client_losses == ()
    for measured in last.records[1].client_losses:
        assert measured.loss == training.held_out_loss(config, last.adapter, measured.client)
    assert last.records[1].held_out_loss is None


def test_a_fedsa_client_is_measured_with_its_own_b(config: FederatedConfig) -> None:
    config = replace(
        config, strategy="fedsa-lora", own_held_out=1, evaluate_every=1, rounds=1, clients_per_round=3,
        learning_rate=0.05, learning_rate_min=0.05,
    )  # fmt: skip
    last = ran(config)
    shared = {name: last.adapter[name] for name in chosen(last.adapter, "A")}
    for measured in last.records[0].client_losses:
        mine = shared | at_home.of_group(last.homes[measured.client], at_home.OWN)
        assert measured.loss == training.held_out_loss(config, mine, measured.client)
