"""A client's own work: its share of the rows, and the loss it follows."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy
import pytest
import torch

from evaluation.errors import DataError
from evaluation.federated import data, local_model, training
from evaluation.federated.accumulation import Room, accumulate
from evaluation.federated.config import FederatedConfig
from evaluation.federated.encoding import IGNORED, Tokens


def test_the_loss_is_that_of_the_whole_sequences_on_the_tokens_that_are_learnt(
    config: FederatedConfig,
) -> None:
    """Left padding and projecting the last positions only change the cost, not the value."""
    local, batch = local_model.local_model(config), training.tokenised(config, 0)
    assert len({len(row) for row in batch}) > 1
    total = torch.tensor(0.0)
    for row in batch:
        logits = local.model(input_ids=torch.tensor([row.ids])).logits[0, :-1]
        labels = torch.tensor(row.labels[1:])
        total += torch.nn.functional.cross_entropy(logits, labels, reduction="sum").detach()
    torch.testing.assert_close(training.summed_loss(local, batch).detach(), total, rtol=1e-5, atol=1e-6)


def out_of_memory_beyond(rows: int, local: local_model.LocalModel) -> Callable[..., torch.Tensor]:
    """The summed loss on a device that has room for so many rows."""

    def loss(batch: Sequence[Tokens]) -> torch.Tensor:
        found = training.summed_loss(local, batch)
        if len(batch) > rows:
            raise torch.OutOfMemoryError
        return found

    return loss


@pytest.mark.parametrize("adapter", ["lora", "dora"])
@pytest.mark.parametrize("room", [1, 2, 3])
def test_a_batch_without_room_is_split_and_has_the_same_loss_and_gradient(
    room: int, adapter: str, config: FederatedConfig
) -> None:
    config = replace(config, adapter=adapter)
    local, batch = local_model.local_model(config), training.tokenised(config, 0)
    assert len(batch) == 4
    batch = (*batch[:3], Tokens(batch[3].ids, (IGNORED,) * len(batch[3])))  # with a row that teaches nothing
    local.put(training.train(config, 0, training.Work(1, 0.01), {}).arrays, "7")
    parameters = local.parameters()

    def gradient(rows: int, seen: Room) -> tuple[torch.Tensor, list[torch.Tensor]]:
        for parameter in parameters:
            parameter.grad = None
        loss = accumulate(out_of_memory_beyond(rows, local), batch, parameters, seen)
        return loss, [parameter.grad for parameter in parameters if parameter.grad is not None]

    whole_loss, whole = gradient(4, Room())
    seen = Room()
    for _ in range(2):  # what was found stays known
        loss, parts = gradient(room, seen)
        torch.testing.assert_close(loss, whole_loss, rtol=1e-5, atol=1e-7)
        assert len(parts) == len(whole) == len(parameters)
        for part, one in zip(parts, whole, strict=True):
            torch.testing.assert_close(part, one, rtol=1e-4, atol=1e-7)
    assert seen.rows == min(room, 2)


def test_a_single_row_without_room_is_out_of_memory(config: FederatedConfig) -> None:
    local, batch = local_model.local_model(config), training.tokenised(config, 0)
    with pytest.raises(torch.OutOfMemoryError):
        accumulate(out_of_memory_beyond(0, local), batch, local.parameters(), Room())


def test_a_batch_that_teaches_nothing_moves_nothing(config: FederatedConfig) -> None:
    local, batch = local_model.local_model(config), training.tokenised(config, 0)
    silent = [Tokens(row.ids, (IGNORED,) * len(row)) for row in batch]
    assert float(accumulate(out_of_memory_beyond(9, local), silent, local.parameters(), Room())) == 0.0


def test_the_base_model_is_loaded_once_and_only_lora_weights_train(config: FederatedConfig) -> None:
    local = local_model.local_model(config)
    assert local_model.local_model(replace(config, rounds=9, seed=1)).model is local.model
    trainable = {name for name, p in local.model.named_parameters() if p.requires_grad}
    assert trainable
    assert all("lora_" in name for name in trainable)


@pytest.mark.parametrize("threads", [1, 3])
def test_a_client_computes_with_the_run_s_threads_and_not_the_process_s(
    threads: int, config: FederatedConfig
) -> None:
    config = replace(config, threads=threads, held_out=2, evaluate_every=1)
    torch.set_num_threads(2)
    arrays = training.train(config, 0, training.Work(1, 0.01), {}).arrays
    assert torch.get_num_threads() == threads
    torch.set_num_threads(2)
    training.held_out_loss(config, arrays)
    assert torch.get_num_threads() == threads


def test_rows_are_digested_by_content(tmp_path: Path) -> None:
    one, other = tmp_path / "one.jsonl", tmp_path / "other.jsonl"
    one.write_text('{"instruction": "i", "input": "", "output": "o"}\n')
    other.write_text('{"output": "o", "instruction": "i", "note": 1}\n\n')
    assert data.read(one).digest == data.read(other).digest


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "has no rows"),
        ("{", "line 1: not JSON"),
        ('{"instruction": "i", "input": "", "output": "o"}\n[]', "line 2: not a JSON object"),
        ('{"input": "", "output": "o"}', "line 1, column 'instruction': expected text"),
        ('{"instruction": "i", "input": 3, "output": "o"}', "column 'input': expected text, found 3"),
        ('{"instruction": "i", "output": ""}', "has no answer to learn: the column 'output' is always empty"),
    ],
)
def test_malformed_rows_are_refused_with_their_place(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text(text)
    with pytest.raises(DataError, match=message):
        data.read(path)


def test_rows_without_an_answer_are_among_the_official_ones_and_train(
    config: FederatedConfig, tmp_path: Path
) -> None:
    """Code Alpaca has some. A batch of nothing but them has no gradient, and breaks nothing."""
    path = tmp_path / "rows.jsonl"
    path.write_text(
        '{"instruction": "the price", "output": ""}\n' * 6 + '{"instruction": "up", "output": "buy"}'
    )
    run = replace(config, train_data=path, clients=1, clients_per_round=1, batch_size=2, template="fingpt",
                  learn_end_token=False)  # fmt: skip
    assert sorted(row.learnt for row in training.tokenised(run, 0)) == [0] * 6 + [1]
    result = training.train(run, 0, training.Work(1, 1e-3), {})
    assert math.isfinite(result.loss)
    assert all(numpy.isfinite(array).all() for array in result.arrays.values())


def test_each_challenge_has_demonstration_rows() -> None:
    for challenge in ("general-nlp", "finance", "medical", "code"):
        assert data.read(data.locate(None, challenge)).demonstration
