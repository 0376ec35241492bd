"""What adapters give away of their rows: nothing untrained, much overfitted, less with clipping and noise."""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy
import pytest

from evaluation.errors import DataError, ModelError
from evaluation.federated import data, drawn_rows, training
from evaluation.federated.adapter import GlobalAdapter
from evaluation.federated.config import FederatedConfig, Privacy
from evaluation.federated.devices import Devices
from evaluation.federated.encoding import batches, encode
from evaluation.federated.factors import Arrays
from evaluation.federated.local_model import tokenizer
from evaluation.federated.privacy import protected
from evaluation.federated.strategies.building import build
from evaluation.federated.training import Work
from evaluation.leakage.canaries import COPIES, canaries_of
from evaluation.running import leakage_rows
from evaluation.running.leakage import Leakage, LeakagePlan, measure
from evaluation.running.leakage_rows import Looked
from evaluation.running.run import Evaluator, Observer
from evaluation.wire.leakage import Membership
from tests.evaluation.conftest import make_tiny_llama
from tests.evaluation.federated.rounds_by_hand import one_round

ROUNDS = 3
LETTERS = "abcdefghij"


@pytest.fixture(scope="module")
def setting(tmp_path_factory: pytest.TempPathFactory) -> FederatedConfig:
    """Two clients that hold 24 random rows each and a canary, 48 held out: to be learnt by heart alone."""
    folder = tmp_path_factory.mktemp("leakage")
    draw = random.Random(3)
    rows = [{"instruction": "Go on", "input": _text(draw, 4), "output": _text(draw, 8)} for _ in range(96)]
    file = folder / "finance.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return FederatedConfig(
        challenge="finance", strategy="fedavg", model=make_tiny_llama(folder / "model", width=48),
        base_model_id="example/tiny-llama", train_data=file, clients=2, clients_per_round=2, rounds=ROUNDS,
        local_steps=30, batch_size=8, sequence_length=96, learning_rate=0.01, learning_rate_min=0.01, rank=8,
        alpha=16, target_modules=("q_proj", "v_proj", "up_proj", "down_proj"), precision="fp32", seed=5,
        schedule="constant", held_out=48, evaluate_every=1, threads=1, template="fingpt", draw_anew=True,
        canaries=2,
    )  # fmt: skip


@pytest.fixture(scope="module")
def evaluator() -> Iterator[Evaluator]:
    made = Evaluator()
    yield made
    made.close()


def _text(draw: random.Random, number: int) -> str:
    return "".join(draw.choice(LETTERS) for _ in range(number))


def trained(config: FederatedConfig, rounds: int = ROUNDS) -> Arrays:
    """By the strategy, with its privacy, as the server does it."""
    strategy = protected(build(config), config) if config.privacy else build(config)
    arrays = GlobalAdapter(config).arrays()
    for number in range(1, rounds + 1):
        work = Work(number, config.learning_rate_in(number))
        replies = [(training.train(config, client, work, arrays).arrays, 24) for client in (0, 1)]
        arrays = one_round(strategy, arrays, replies, number)
    return arrays


def leakage(config: FederatedConfig, arrays: Arrays, folder: Path, evaluator: Evaluator) -> Leakage:
    GlobalAdapter(config).save(arrays, folder)
    plan = LeakagePlan(
        model=str(config.model), adapter=folder, challenge="finance", protocol=1, precision="fp32",
        rows=config.train_data, run=config, rounds=((0, 1),) * ROUNDS,
    )  # fmt: skip
    return measure(plan, evaluator, Observer(), lambda *_: None)


def by_signal(found: Leakage) -> dict[str, Membership]:
    return {one.signal: one for one in found.memberships}


@pytest.mark.slow("trains two tiny adapters")
def test_an_overfitted_adapter_is_told_an_untrained_one_not_and_privacy_lessens_it(
    setting: FederatedConfig, evaluator: Evaluator, tmp_path: Path
) -> None:
    untrained = leakage(setting, trained(setting, 0), tmp_path / "untrained", evaluator)
    overfitted = leakage(setting, trained(setting), tmp_path / "overfitted", evaluator)
    private = replace(setting, privacy=Privacy(clipping_norm=0.3, noise_multiplier=1.0))
    protected_one = leakage(private, trained(private), tmp_path / "private", evaluator)

    assert (overfitted.members, overfitted.others) == (48, 48)
    for signal in ("loss_ratio", "min_k"):
        before, after, dp = (by_signal(one)[signal] for one in (untrained, overfitted, protected_one))
        assert before.auc_interval is None or before.auc_interval[0] < 0.5 < before.auc_interval[1]
        assert after.auc_interval and after.auc_interval[0] > 0.75, signal
        assert after.true_positives > before.true_positives, signal
        assert dp.auc < after.auc - 0.2 and dp.true_positives < after.true_positives, signal
    # The base model has seen neither, whatever became of the adapter.
    control = by_signal(overfitted)["base_alone"]
    assert control.auc_interval and control.auc_interval[0] < 0.5 < control.auc_interval[1]
    assert [one.client for one in overfitted.clients] == [0, 1]
    assert all(one.membership.auc > 0.8 for one in overfitted.clients)
    # Of 256 equally likely secrets the one that was trained on is the likeliest.
    assert [one.bits for one in overfitted.exposures] == [8.0, 8.0]
    assert max(one.bits for one in untrained.exposures) < 8


def test_a_run_that_held_no_rows_out_cannot_be_tested(
    setting: FederatedConfig, evaluator: Evaluator, tmp_path: Path
) -> None:
    whole = replace(setting, held_out=0, evaluate_every=0)
    with pytest.raises(DataError, match=r"0 of the same source that were not, .* 20 of each"):
        leakage(whole, GlobalAdapter(whole).arrays(), tmp_path / "adapter", evaluator)


def test_clients_that_took_no_part_have_no_members(setting: FederatedConfig) -> None:
    looked = leakage_rows.of_run(setting, [(1,)] * ROUNDS)
    assert {one.client for one in looked.looked if one.is_member} == {1}
    assert {canary.client for canary in looked.canaries} == {1}


def test_a_client_holds_its_canary_besides_its_rows(setting: FederatedConfig) -> None:
    with_it, without = (training.tokenised(config, 0) for config in (setting, replace(setting, canaries=0)))
    assert len(with_it) - len(without) == COPIES
    assert set(without) < set(with_it)


def texts(rows: Iterable[Looked]) -> set[str]:
    return {row.row.input for row in rows}


def trained_texts(config: FederatedConfig, client: int, server_round: int) -> set[str]:
    """What the model sees of a client's rows in a round, read from the batches that training makes."""
    rows = training.tokenised(config, client)
    moment = training.moment_of(config, client, server_round)
    steps = training.local_steps(config, client)
    seen = {row for batch in batches(config, rows, steps, moment) for row in batch}
    read = data.read(config.train_data).rows
    written = {encode(row, config.form, tokenizer(config.model), config.sequence_length): row for row in read}
    return {written[row].input for row in seen if row in written}


@pytest.mark.parametrize("draw_anew", [True, False])
def test_members_are_rows_that_steps_were_taken_on_and_no_others(
    setting: FederatedConfig, *, draw_anew: bool
) -> None:
    few = replace(setting, held_out=20, clients=2, local_steps=2, canaries=0, draw_anew=draw_anew)
    found = leakage_rows.of_run(few, [(0, 1), (0,)]).looked
    trained_on = {
        *trained_texts(few, 0, 1), *trained_texts(few, 0, 2), *trained_texts(few, 1, 1),
    }  # fmt: skip
    assert texts(row for row in found if row.is_member) <= trained_on
    assert not texts(row for row in found if not row.is_member) & trained_on


def test_where_clients_have_rows_left_each_is_held_against_its_own(setting: FederatedConfig) -> None:
    few = replace(setting, held_out=20, local_steps=2, canaries=0, draw_anew=False)
    found = leakage_rows.of_run(few, [(0, 1)]).looked
    numbers = Counter((row.client, row.is_member) for row in found)
    assert numbers[0, True] == numbers[0, False] == numbers[1, True] == numbers[1, False] == 16
    assert not [row for row in found if row.client is None]


def test_a_canary_that_was_never_drawn_is_not_said_to_be_hidden(setting: FederatedConfig) -> None:
    held = canaries_of(setting.seed, 2, 2)
    assert leakage_rows.of_run(setting, [(0, 1)] * ROUNDS).canaries == held
    assert leakage_rows.of_run(setting, [(0,)] * ROUNDS).canaries == tuple(
        one for one in held if one.client == 0
    )
    seldom = replace(setting, local_steps=1, batch_size=1, draw_anew=False, held_out=20)
    for drawn in drawn_rows.of_clients(seldom, [(0, 1)]).values():  # one step, on a row or a canary
        assert len(drawn.trained_on) + len(drawn.canaries) == 1


def test_a_text_that_stands_in_the_data_twice_is_looked_at_on_neither_side(
    setting: FederatedConfig, tmp_path: Path
) -> None:
    """FinGPT's set has most rows several times: of those that a run holds out most are trained on as well."""
    file = tmp_path / "finance.jsonl"
    lines = setting.train_data.read_text().splitlines()
    repeated = [json.dumps(json.loads(line) | {"input": f"twice {i}"}) for i, line in enumerate(lines[:30])]
    file.write_text("\n".join([*lines, *repeated, *repeated]) + "\n")
    found = leakage_rows.of_run(replace(setting, train_data=file), [(0, 1)] * ROUNDS).looked
    assert {row.is_member for row in found} == {True, False}
    assert not [text for text in texts(found) if text.startswith("twice")]


def test_rows_and_canaries_of_poisoned_clients_count_for_nothing(setting: FederatedConfig) -> None:
    hostile = replace(setting, devices=Devices(poisoned=1))
    (client,) = hostile.devices.are_poisoned(2, hostile.seed)
    found = leakage_rows.of_run(hostile, [(0, 1)] * ROUNDS)
    assert {row.client for row in found.looked if row.is_member} == {1 - client}
    assert [canary.client for canary in found.canaries] == [1 - client]


def test_an_adapter_that_changes_nothing_has_an_area_of_one_half_exactly(
    setting: FederatedConfig, evaluator: Evaluator, tmp_path: Path
) -> None:
    found = leakage(setting, trained(setting, 0), tmp_path / "untrained", evaluator)
    ratio = by_signal(found)["loss_ratio"]
    assert (ratio.auc, ratio.auc_interval, ratio.true_positives) == (0.5, None, 0.0)


def test_an_adapter_that_has_diverged_is_said_to_have(
    setting: FederatedConfig, evaluator: Evaluator, tmp_path: Path
) -> None:
    arrays = {name: array + numpy.float32(1e30) for name, array in GlobalAdapter(setting).arrays().items()}
    with pytest.raises(ModelError, match="no finite numbers"):
        leakage(setting, arrays, tmp_path / "adapter", evaluator)


def test_rows_of_which_nothing_is_learnt_count_as_none(
    setting: FederatedConfig, evaluator: Evaluator, tmp_path: Path
) -> None:
    whole = replace(setting, template="alpaca", sequence_length=4, canaries=0)
    with pytest.raises(DataError, match="with 0 rows that were trained on and 0 of"):
        leakage(whole, GlobalAdapter(whole).arrays(), tmp_path / "adapter", evaluator)


def test_where_one_client_stands_for_all_its_rows_are_still_those_of_their_clients(
    setting: FederatedConfig,
) -> None:
    pooled = replace(setting, strategy="centralised", local_steps=2, held_out=20)
    found = leakage_rows.of_run(pooled, [(0,)])
    members, others = (
        {row.client for row in found.looked if row.is_member is kind} for kind in (True, False)
    )
    assert members == others == {0, 1}
    seen = trained_texts(replace(pooled, canaries=0), 0, 1)
    assert len(seen) == 2 * 2 * setting.batch_size
